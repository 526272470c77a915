"""Check digits of payment cards and IBANs."""

_DIGITS_OF_LETTERS = {chr(code): str(code - ord("A") + 10) for code in range(ord("A"), ord("Z") + 1)}
# Length of an IBAN by country, from the registry of ISO 13616.
_LENGTHS = (
    "NO15 BE16 DK18 FI18 FK18 FO18 GL18 NL18 SD18 MK19 SI19 AT20 BA20 EE20 KZ20 LT20 LU20 MN20 XK20 CH21 HR21 LI21 "
    "LV21 BG22 BH22 CR22 DE22 GB22 GE22 IE22 ME22 RS22 VA22 AE23 GI23 IL23 IQ23 OM23 SO23 TL23 AD24 CZ24 ES24 MD24 "
    "PK24 RO24 SA24 SE24 SK24 TN24 VG24 LY25 PT25 ST25 IS26 TR26 BI27 DJ27 FR27 GR27 IT27 MC27 MR27 SM27 AL28 AZ28 "
    "BY28 CY28 DO28 GT28 HN28 HU28 LB28 NI28 PL28 SV28 BR29 EG29 PS29 QA29 UA29 YE30 JO30 KW30 MU30 MT31 SC31 LC32 "
    "RU33"
)
IBAN_LENGTHS = {entry[:2]: int(entry[2:]) for entry in _LENGTHS.split()}


def passes_luhn(digits: str) -> bool:
    """Return whether the last digit is the Luhn check digit of the others, as on payment cards (ISO/IEC 7812)."""
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(int(digit) for digit in digits[::-2]) + sum(doubled)) % 10 == 0


def is_iban(account: str) -> bool:
    """Return whether an account number in capitals and without spaces is an IBAN with valid check digits."""
    if IBAN_LENGTHS.get(account[:2]) != len(account):
        return False
    moved = account[4:] + account[:4]
    return int("".join(_DIGITS_OF_LETTERS.get(character, character) for character in moved)) % 97 == 1
