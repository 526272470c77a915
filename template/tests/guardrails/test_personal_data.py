"""Personal data is found, replaced once, and nothing else is changed."""

import string
from random import Random
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.guardrails.checksums import IBAN_LENGTHS, is_iban, passes_luhn
from app.guardrails.personal_data import redact_personal_data, redact_values, scan_personal_data

DATA = [
    "ada@example.com",
    "+49 30 901820",
    "(415) 555-2671",
    "0171 2345678",
    "4111 1111 1111 1111",
    "378282246310005",
    "DE89 3704 0044 0532 0130 00",
    "MT84 MALT 0110 0001 2345 MTLC AST0 01S",
]
LIKE_AN_IBAN = "be181716-2b0a-4228-aca1-2024fe730f23"
# Texts full of the parts that numbers and addresses consist of.
TEXTS = st.lists(
    st.one_of(
        st.sampled_from([*DATA, *(data[cut:] for data in DATA for cut in (1, 5)), *(data[:-2] for data in DATA)]),
        st.sampled_from([" ", "  ", "\n", "\u00a0", ".", "-", "/", "@", "+", "(", ")", "'", ", ", "_", "é", "東"]),
        st.text(string.digits, max_size=6),
        st.text(string.ascii_letters, max_size=6),
        st.text(max_size=4),
        st.sampled_from([LIKE_AN_IBAN, "x" * 70, "1" * 30, "12 " * 120, "a1-" * 110]),
    ),
    max_size=12,
).map("".join)


@given(st.text(string.digits, min_size=1, max_size=24))
def test_exactly_one_check_digit_passes(digits: str) -> None:
    assert sum(passes_luhn(digits + check) for check in string.digits) == 1


@given(st.text(string.digits, min_size=2, max_size=20), st.data())
def test_a_wrong_digit_in_a_card_number_is_noticed(digits: str, data: st.DataObject) -> None:
    number = next(digits + check for check in string.digits if passes_luhn(digits + check))
    place = data.draw(st.integers(0, len(number) - 1))
    other = data.draw(st.sampled_from([digit for digit in string.digits if digit != number[place]]))
    assert not passes_luhn(number[:place] + other + number[place + 1 :])


@given(st.sampled_from(sorted(IBAN_LENGTHS)), st.data())
def test_a_wrong_sign_in_an_account_number_is_noticed(country: str, data: st.DataObject) -> None:
    length = IBAN_LENGTHS[country] - 4
    account = data.draw(st.text(string.digits, min_size=length, max_size=length))
    right = [f"{country}{check:02}{account}" for check in range(2, 99) if is_iban(f"{country}{check:02}{account}")]
    assert len(right) == 1
    place = data.draw(st.integers(2, len(right[0]) - 1))
    other = data.draw(st.sampled_from([digit for digit in string.digits if digit != right[0][place]]))
    assert not is_iban(right[0][:place] + other + right[0][place + 1 :])


@given(TEXTS)
@example("0301 234567 4111111111111111 0171 2345678")
@example("DE89 3704 0044 0532 0130 MT84 MALT 0110 0001 2345 MTLC AST0 0ada@example.com")
def test_what_is_redacted_stays_as_it_is_when_redacted_again(text: str) -> None:
    once = redact_personal_data(text)
    assert redact_personal_data(once) == once


@given(TEXTS)
def test_spans_are_in_order_and_never_overlap(text: str) -> None:
    end = 0
    for span in scan_personal_data(text).spans:
        assert end <= span.start < span.end <= len(text)
        end = span.end


@given(TEXTS)
def test_what_is_not_personal_data_stays_word_for_word(text: str) -> None:
    spans = scan_personal_data(text).spans
    expected = text
    for span in reversed(spans):
        expected = f"{expected[: span.start]}[{span.kind}]{expected[span.end :]}"
    assert redact_personal_data(text) == expected


@pytest.mark.parametrize("start", ["", "ba", "be", "ee", "00", "4111"])
def test_a_uuid_stays_whatever_its_digits(start: str) -> None:
    # These begin like Bosnian, Belgian and Estonian account numbers, telephone numbers and card numbers.
    digits = Random(start)  # noqa: S311 - the same digits each time
    for _ in range(10_000):
        uuid = UUID(start + f"{digits.getrandbits(128):032x}"[len(start) :])
        text = f"{uuid} job/{uuid}/run, '{str(uuid).upper()}'"
        assert redact_personal_data(text) == text
    assert redact_personal_data(f"{LIKE_AN_IBAN} +49 30 901820 {LIKE_AN_IBAN}") == (
        f"{LIKE_AN_IBAN} [phone] {LIKE_AN_IBAN}"
    )


def test_a_structure_keeps_its_numbers_and_loses_its_personal_data() -> None:
    value = {"to": ["ada@example.com", ("+49 30 901820",)], "card": 4111111111111111, "ok": True, "none": None}
    assert redact_values(value) == {"to": ["[email]", ["[phone]"]], "card": 4111111111111111, "ok": True, "none": None}


@pytest.mark.parametrize("piece", ["1 ", "a@", "a.b-c@x.", "+49 ", "(0171) ", "a0", "GB29 ", "0.", "'"])
def test_a_hostile_text_of_a_megabyte_is_read_to_its_end(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    assert redact_personal_data(f"{text}\nada@example.com").endswith("\n[email]")
