"""Rules for prompt injection in other languages. They expect normalized lower-case text; Latin letters have no accents.

They cover only the plainest forms of "ignore the instructions", "show the prompt" and "you have no limits".
"""

# ruff: noqa: RUF001 - letters of other scripts are what these rules are about

import re
from collections.abc import Mapping

_FEW = r"(?:[\w-]{1,20}\s){0,3}"

_OVERRIDE: Mapping[str, str] = {
    "german": r"\b(?:ignorier|vergiss|missacht|umgeh)\w{0,3}\s<FEW>(?:(?:vor|bis)her\w{0,5}"
    r"|obig\w{1,2}|vorig\w{1,2}"
    r"|deine?)\s(?:\w{1,20}\s)?(?:anweisung|regel|richtlinie|instruktion|vorgabe|befehl)"
    r"|\bvergiss\salles,\swas\sdir\b",
    "french": r"(?<!n')(?<!ne\s)\b(?:ignore|oublie)[zr]?\s<FEW>(?:instruction|consigne|regle|directive)"
    r"s\s(?:\w{1,12}\s)?"
    r"(?:precedent|ci-dessus|anterieur|initial)|\bne\stiens\spas\scompte\sde\s(?:tes|ces|ce)\b",
    "spanish": r"\b(?:ignora|olvida|descarta)\s<FEW>(?:instrucciones|reglas|directrices)\s(?:anteriores"
    r"|previas|que\ste)"
    r"|\bhaz\scaso\somiso\b",
    "italian": r"\b(?:ignora|dimentica)\s<FEW>(?:istruzioni|regole)\s(?:precedenti|iniziali|che\sti)",
    "portuguese": r"\b(?:ignore|desconsidere|esqueca)\s<FEW>(?:instrucoes|regras)\s(?:anteriores|acima"
    r"|previas|que\s)",
    "dutch": r"\b(?:negeer|vergeet)\s<FEW>(?:eerdere|vorige|bovenstaande|je)"
    r"\s(?:\w{1,12}\s)?(?:instructies|regels)",
    "polish": r"\b(?:z?ignoruj|zapomnij|pomin)\s<FEW>(?:poprzednie|wczesniejsze)"
    r"\s(?:\w{1,12}\s)?(?:instrukcj|polece|zasad)",
    "turkish": r"\b(?:onceki|yukaridaki)\s(?:\w{1,12}\s)?(?:talimat|kural)\w{0,6}\s(?:yok\ssay|unut|gormezden)",
    "russian": r"(?<!не\s)\b(?:про)?(?:игнорируй|забудь)(?:те)?\s<FEW>(?:предыдущи|прежни|все|свои)"
    r"\w{0,2}\s(?:\w{1,12}\s)?"
    r"(?:инструкци|правил|указани|команд)",
    "chinese": r"(?:忽略|无视|無視|忘记|忘掉|不要理会).{0,6}(?:之前|以上|先前|上面|前面|所有).{0,6}(?:指令"
    r"|指示|规则|規則|提示|命令|设定)",
    "japanese": r"(?:これまで|以前|上記|前)の?.{0,6}(?:指示|命令|ルール|指令).{0,6}(?:無視|忘れ|破棄)",
    "korean": r"(?:이전|위|앞).{0,8}(?:지시|명령|규칙).{0,8}(?:무시|잊)",
    "arabic": r"(?:تجاهل|انس|تجاوز)\s.{0,8}(?:التعليمات|القواعد|الأوامر)",
    "hindi": r"(?:पिछले|पहले).{0,10}(?:निर्देश|नियम).{0,12}(?:अनदेखा|भूल)",
}
_EXTRACTION: Mapping[str, str] = {
    "german": r"\b(?:zeig|gib|nenn|verrat|wiederhol)e?\s[^\n]{0,60}(?:system-?prompt|anweisungen,\sdie\sdu\b)",
    "french": r"\b(?:affiche|montre|revele|repete)\s[^\n]{0,60}(?:prompt\ssysteme|instructions\sque\stu\s)",
    "spanish": r"\b(?:muestra|dime|revela|repite)\s[^\n]{0,60}(?:prompt\sdel\ssistema|tus\sinstrucciones)",
    "italian": r"\b(?:mostrami|rivela|dimmi)\s[^\n]{0,40}prompt\sdi\ssistema",
    "portuguese": r"\b(?:mostre|revele|diga)\s[^\n]{0,40}prompt\sd[eo]\ssistema",
    "dutch": r"\b(?:laat|toon)\s[^\n]{0,40}systeemprompt",
    "polish": r"\bpokaz\s[^\n]{0,40}prompt\ssystemowy",
    "russian": r"\b(?:покажи|выведи|раскрой)\s[^\n]{0,40}системн\w{2}\sпромпт",
    "chinese": r"(?:显示|告诉我|输出|打印|泄露|重复).{0,8}系统(?:提示|指令)",
    "japanese": r"システムプロンプトを?(?:表示|教え|出力|見せ)",
    "korean": r"시스템\s?프롬프트를?\s?(?:보여|알려|출력|공개)",
}
_PERSONA: Mapping[str, str] = {
    "german": r"\bdu\sbist\s(?:nun|jetzt|ab)\s[^\n]{0,60}ohne\s(?:filter|regel|einschrankung)"
    r"|\bantworte\s[^\n]{0,30}ohne\seinsch",
    "french": r"\btu\s(?:es|joues)\s[^\n]{0,80}(?:sans\s(?:\w{1,8}\s)?(?:limite|filtre|restriction)"
    r"|plus\sde\srestrictions)",
    "spanish": r"\b(?:eres|responde)\s[^\n]{0,40}sin\s(?:restricciones|filtros|limites)",
    "portuguese": r"\bvoce\se\s[^\n]{0,40}sem\s(?:limites|restricoes|filtros)",
    "dutch": r"\bantwoord\szonder\sbeperkingen",
    "russian": r"\bответ\w{1,6}\s(?:\w{1,12}\s)?без\sограничений",
    "chinese": r"你.{0,6}(?:没有|不受).{0,4}(?:限制|约束)",
    "japanese": r"制限のない(?:ai|モデル)",
}
_ADDRESSED: Mapping[str, str] = {
    "german": r"\b(?:hinweis|nachricht|anweisung)\s(?:an|fur)\s(?:alle\s)?ki\b",
    "french": r"\b(?:note|message)\saux?\s(?:ia|assistants?\sia)\b",
}

RULES_BY_LANGUAGE = tuple(
    (name, re.compile("|".join(rules.values()).replace("<FEW>", _FEW)))
    for name, rules in (
        ("override", _OVERRIDE),
        ("extraction", _EXTRACTION),
        ("persona", _PERSONA),
        ("addressed_to_model", _ADDRESSED),
    )
)
