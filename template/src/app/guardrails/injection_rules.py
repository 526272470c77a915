"""The English rules for prompt injection. They expect normalized text in lower case.

Every repetition is bounded, so hostile texts take no longer than others of the same length.
"""

# ruff: noqa: ISC004 - each rule is a pattern that is too long for one line

import re
from collections.abc import Mapping, Sequence

# Where an instruction begins: at the start of a clause, or after a word that introduces one, but not after a quotation
# mark, because a quoted instruction is not meant for the model.
ORDER = (
    r"(?:^|[\n.!?:;,(>*»\])=-]\s{0,3}|\b(?:please|kindly|now|then|and|also|just|so|must|should|will|instead|you|may"
    r"|need to|have to|going to|but|could you|let's)\s)(?:please\s|just\s|now\s|also\s)?"
)
FEW = r"(?:[\w'’/-]{1,20},?\s){0,4}"  # noqa: RUF001 - the typographic apostrophe
PRIOR = r"(?:previous|prior|earlier|preceding|above|foregoing|initial|original|existing|your)"
LIMIT = (
    r"(?:instructions?|directions?|directives?|guidelines?|rules?|commands?|prompts?|programming|polic(?:y|ies)"
    r"|constraints?|restrictions?|limitations?|guardrails?|filters?|safety\s\w{1,12}|system\smessages?)"
)
MODEL = r"(?:ai|llms?|gpts?|chatbots?|bots?|language\smodels?|ai\s\w{1,12}|automated\sagents?)"
ASSISTANT = r"(?:<MODEL>|assistants?|models?)"
PROMPT = (
    r"(?:(?:system|hidden|secret|initial|developer|internal)\s(?:\w{1,12}\s)?"
    r"(?:prompts?|messages?|instructions?|rules|text|configuration|notes)"
    r"|your\s(?:\w{1,12}\s){0,2}(?:instructions|prompt|configuration|guidelines|directives))"
)
TOLD = r"you\s(?:were|are|have|had|got|received|hold|\w{1,8}\sbeen)\s?(?:been\s)?(?:given|told|sent|received|got|hold)?"
UNBOUND = (
    r"(?:(?:no|without|without\sany|free\sof|freed\sof|freed\sfrom|bound\sby|disregards|breaks|ignores)\s"
    r"(?:\w{1,12}\s){0,3}(?:<LIMIT>|limits?|ethics|ethical|morals?|censorship)"
    r"|un(?:restricted|censored|filtered)|jailbroken|amoral|never\srefuses?|never\ssay\sthat\syou\scan"
    r"|<LIMIT>\s(?:are|is|had\sbeen|have\sbeen|were)\s(?:disabled|removed|lifted|suspended))"
)
TAKEN = r"(?:passwords?|secrets?|api\skeys?|cookies?|conversation|chat|earlier\smessages?|everything\sthe\suser|inbox)"

# Placeholders in the rules for the patterns above; the first ones contain others.
PARTS = {
    "<ASSISTANT>": ASSISTANT,
    "<UNBOUND>": UNBOUND,
    "<FEW>": FEW,
    "<LIMIT>": LIMIT,
    "<MODEL>": MODEL,
    "<ORDER>": ORDER,
    "<PRIOR>": PRIOR,
    "<PROMPT>": PROMPT,
    "<TAKEN>": TAKEN,
    "<TOLD>": TOLD,
}

_RULES: Mapping[str, tuple[str, ...]] = {
    # Instructions to ignore earlier instructions.
    "override": (
        r"<ORDER>(?:ignore|disregard|forget|neglect|discard|drop|override|overrule|bypass|skip|cancel|erase|delete"
        r"|abandon|disable|suspend|switch|turn|put|lay|set\saside|(?:do\snot|don't|stop)\s(?:follow|obey)(?:ing)?"
        r"|pay\sno\sattention\sto|treat)\s<FEW><PRIOR>\s(?:[\w'-]{1,20}\s){0,2}<LIMIT>\b",
        r"<ORDER>(?:ignore|disregard|forget|drop|skip|never\s?mind|set\saside|(?:do\snot|don't)\s(?:follow|obey))\s<FEW><LIMIT>\s"
        r"(?:that\s)?(?:you\s(?:were|got|have|received)|(?:from|by|of|in)\s(?:your|the)\s(?:system|developer|creator)"
        r"|(?:that\scame\s)?(?:before|above|up\sthere))",
        r"<ORDER>(?:ignore|disregard|forget|discard|treat|erase)\s(?:about\s)?(?:everything|all|anything|what|the|text|\s)"
        r"{1,6}(?:above|before\sthis|you\swere\stold|you\shave\sbeen\stold|so\sfar)\b",
        r"\byour\s(?:\w{1,12}\s){0,2}<LIMIT>\s(?:\w{1,9}\s){0,2}(?:are|is|were|no\slonger|don't|did\snot|have\sbeen)"
        r"\s(?:void|suspended|revoked|cancelled|overridden|outdated|obsolete|appl(?:y|ies)|count|exist|lifted|removed)",
        r"\byou(?:\sare|'re)\sno\slonger\s(?:bound|limited|restricted)|\b(?:don't|do\snot)\shave\sto\s(?:obey|follow)\s<FEW>"
        r"(?:any\s(?:longer|more)|your|the\ssystem)",
        r"\bopposite\sof\swhat\s(?:the|your)\s(?:\w{1,9}\s)?<LIMIT>",
        r"\b(?:pretend|imagine|assume|act\sas\sif)\s(?:that\s)?you\s(?:never|had\sno|have\sno)\s<FEW><LIMIT>",
    ),
    # Demands to reveal the operator's prompt.
    "extraction": (
        r"<ORDER>(?:reveal|repeat|print|show|output|display|tell|give|write|paste|quote|translate|summari[sz]e|encode"
        r"|list|copy|dump|disclose|leak|share|recite|expose|return|be\shonest)\s(?:[\w'’-]{1,20},?\s){0,8}<PROMPT>",  # noqa: RUF001 - as above
        r"\bwhat\s(?:is|are|was|were|does)\s<FEW>your\s(?:\w{1,9}\s)?(?:system|developer|hidden|initial|secret)\s"
        r"(?:prompt|message|instructions|rules)",
        r"\b(?:instructions|prompt|everything|rules)\s(?:that\s)?<TOLD>\s(?:before\sthis|at\sthe\s(?:start|beginning))",
        r"<ORDER>(?:output|print|show|copy|repeat)\s<FEW>(?:everything|text|prompt|words)\s(?:[\w'-]{1,20}\s){0,4}"
        r"(?:above,\sstarting|precedes\sthis|before\smy\sfirst)|\banything\si\scan(?:no|')t\ssee",
        r"\bmy\s(?:hidden\s|secret\s)?system\sprompt\s(?:is|reads|says)|\bpassword\s(?:that\s)?(?:were\s)?"
        r"you\s(?:were|are)\s(?:told|asked|instructed)|\bpassword\swere\syou\stold",
    ),
    # Personas without limits.
    "persona": (
        r"\byou(?:\sare|'re)\s(?:\w{1,12}\s)?(?:an?\s|in\s|now\s)[^\n]{0,80}?\b<UNBOUND>",
        r"(?:<ORDER>|\b)(?:act|pretend|roleplay|role-play|simulate|become|imagine|impersonate|speak|hypothetically,"
        r"|from\snow\son|game:|to\sbecome|in\s\w{1,12}\smode)\s[^\n]{0,120}?\b<UNBOUND>\b(?!\s(?:by|assistant\?))",
        r"\byou\sare\s(?:now\s)?dan\b|\b(?:dan|jailbreak|sudo|god)\smode\s(?:is\s)?(?:on|enabled|activated)"
        r"|\benter\s(?:dan|developer|jailbreak|god)\smode",
        r"\brespond\sfreely\b|\b(?:answer|respond)\s[^\n]{0,40}\bwith(?:out|\sno)\s(?:any\s)?(?:limits|<LIMIT>|filtering)",
    ),
    # Fake messages of the system or the operator.
    "authority": (
        r"<\|im_start\|>\s?system|<<sys>>|</?system>|\[system\s(?:override|message)|^#{1,6}\s?system\s(?:message|prompt)"
        r"|\b(?:begin|new)\snew\ssystem\sprompt|^system:\s[^\n]{0,80}\b(?:user|assistant|rules|policy)\b",
        r"\b(?:notice|message|command|instructions?|coming|update)\sfrom\syour\s(?:developer|operator|creator|maker)s?\b",
        r"\byour\sdevelopers?\s(?:has\s|have\s)?allowed|\b(?:safety|content)\s(?:rules|filters?|policy)\s(?:are|is)\ssuspended",
        r"\badmin\scommand:|\bsudo\smode\benabled|^assistant\sinstructions:|\bthe\sassistant\smust\sobey\b",
    ),
    # Text addressed to any model that processes it.
    "addressed_to_model": (
        r"\b(?:note|notice|message|instructions?|attention|dear|hint)[\s:,]{1,3}(?:to\s|for\s)?(?:any\s|all\s|the\s|an\s)?"
        r"(?:<MODEL>\b|assistant,)|^ai:\s|\bto:\sthe\sai\b|\bfor\sautomated\sagents\b",
        r"\bif\syou(?:\sare|'re)\san?\s(?:\w{1,12}\s)?<MODEL>\b|\byou,\sthe\smodel\b",
        r"\b<ASSISTANT>\s(?:\w{1,12}\s){0,2}(?:reads?|reading|process(?:es|ing)|summari[sz](?:es|ing)|screening|evaluating"
        r"|reviewing|parsing)\s(?:this|the)\b",
        r"\b(?:don't|do\snot)\s(?:mention\sthis|tell\sthe\s(?:user|reader|customer)s?\b)|\binstead,?\stell\sthe\suser",
        r"\bchatbots?,\sstop\b|\b(?:reviewer|screening)\smodels\smust\b",
    ),
    # Instructions to send data away, or to show a link to the reader.
    "exfiltration": (
        r"<ORDER>(?:send|post|forward|upload|include|transmit|call|render)\s[^\n]{0,60}\b<TAKEN>\b[^\n]{0,60}"
        r"(?:https?://|\bquery\sparameter|\blink\b)",
        r"\b<TAKEN>\s(?:and\s)?(?:post|send|forward|upload)\s(?:it|them)\sto\b",
        r"!\[[^\]\n]{0,40}\]\(https?://[^)\s]{1,200}=data\)",
        r"\b(?:insert|include|add)\sthe\slink\s\S{1,200}\sand\s(?:claim|say|tell)",
        r"\btell\sthe\s(?:reader|user|customer)s?\sto\s[^\n]{0,80}\bpassword",
    ),
}


def _join(patterns: Sequence[str]) -> str:
    joined = "|".join(patterns)
    for name, part in PARTS.items():
        joined = joined.replace(name, part)
    return joined


RULES = tuple((name, re.compile(_join(patterns), re.MULTILINE)) for name, patterns in _RULES.items())
