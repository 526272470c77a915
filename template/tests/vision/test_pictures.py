"""Tests of reading untrusted pictures."""

import io
import random

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageOps

from app.errors import AppError, PayloadTooLargeError, UnprocessableError, UnsupportedMediaTypeError
from app.vision.letterbox import Size
from app.vision.opening import MOST_SCANS, PictureLimits
from app.vision.pictures import BAR, Picture, read_picture
from tests.vision.drawings import base64, encode, huge_jpeg, huge_png, huge_webp, noise, shapes, tiny_huge_webp

LIMITS = PictureLimits(max_bytes=5_000_000, max_megapixels=25)
INTO = Size(64, 64)


def read(content: bytes | str, limits: PictureLimits = LIMITS) -> Picture:
    return read_picture(content, limits, INTO)


def halves(left: tuple[int, ...], right: tuple[int, ...]) -> Image.Image:
    image = Image.new("RGB", (128, 128), left)
    image.paste(right, (64, 0, 128, 128))
    return image


@pytest.mark.parametrize(
    ("kind", "mode"),
    [("PNG", mode) for mode in ("RGB", "L", "P", "1", "RGBA", "LA")]
    + [("JPEG", mode) for mode in ("RGB", "L", "CMYK")]
    + [("WEBP", mode) for mode in ("RGB", "L", "RGBA")],
)
def test_every_kind_of_picture_has_its_colours(kind: str, mode: str) -> None:
    black_and_white = halves((0, 0, 0), (255, 255, 255)).convert(mode)
    pixels = read(encode(black_and_white, kind)).pixels
    assert pixels.shape == (64, 64, 3)
    assert pixels[:, :28].max() < 12
    assert pixels[:, 36:].min() > 243


def test_sixteen_bits_are_scaled_down_and_not_cut_off() -> None:
    grey = Image.fromarray(np.full((64, 64), 100 * 257, dtype=np.uint16))
    assert set(read(encode(grey)).pixels.ravel().tolist()) == {100}


def test_what_is_transparent_is_white() -> None:
    hidden = Image.new("RGBA", (64, 64), (255, 0, 0, 0))
    palette = Image.new("P", (64, 64))
    palette.putpalette([255, 0, 0])
    for content in (encode(hidden), encode(hidden, "WEBP", lossless=True), encode(palette, transparency=0)):
        assert read(content).pixels.min() == 255


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_its_camera_says(kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    content = encode(shapes().image, kind, exif=exif)
    seen = encode(ImageOps.exif_transpose(Image.open(io.BytesIO(content))), "PNG")
    turned, expected = read(content), read(seen)
    assert turned.letterbox == expected.letterbox
    difference = np.abs(turned.pixels.astype(int) - expected.pixels)
    assert difference.mean() < 2


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("exif", [b"Exif\0\0garbage", b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b""])
def test_broken_exif_is_no_reason_to_refuse(exif: bytes) -> None:
    assert read(encode(shapes().image, "JPEG", exif=exif)).letterbox.picture == Size(640, 400)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_of_a_moving_picture_the_first_frame_is_seen(kind: str) -> None:
    first, second = Image.new("RGB", (64, 64), (250, 0, 0)), Image.new("RGB", (64, 64), (0, 0, 250))
    pixels = read(encode(first, kind, save_all=True, append_images=[second])).pixels
    assert pixels[..., 0].min() > 240
    assert pixels[..., 2].max() < 15


@pytest.mark.parametrize("content", [huge_png(), huge_jpeg(), huge_webp()], ids=["png", "jpeg", "webp"])
def test_a_huge_picture_is_refused_by_its_header(content: bytes) -> None:
    assert len(content) < 2000
    with pytest.raises(UnprocessableError, match=r"25 megapixels.*(50,000 x 50,000|16,383 x 16,383)"):
        read(content)


@pytest.mark.parametrize("content", [huge_webp(), tiny_huge_webp()], ids=["usual", "tiny"])
def test_a_huge_webp_is_refused_before_its_decoder_takes_memory(
    content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "open", None)
    with pytest.raises(UnprocessableError, match=r"25 megapixels.*16,38[34] x 16,38[34]"):
        read(content)


def test_a_file_over_the_limit_is_refused_before_it_is_opened() -> None:
    content = encode(noise(100))
    with pytest.raises(PayloadTooLargeError, match="1,000 bytes"):
        read(content, PictureLimits(max_bytes=1000, max_megapixels=25))


def test_a_jpeg_of_endless_scans_is_refused() -> None:
    content = encode(shapes().image, "JPEG", comment=b"\xff\xda" * (MOST_SCANS + 1))
    with pytest.raises(UnprocessableError, match="scans"):
        read(content)


def test_a_picture_of_a_phone_with_more_pictures_behind_it_is_a_jpeg_and_its_scans_are_limited() -> None:
    image, options = shapes().image, {"save_all": True, "append_images": [noise(64)]}
    assert np.array_equal(read(encode(image, "MPO", **options)).pixels, read(encode(image, "JPEG")).pixels)
    with pytest.raises(UnprocessableError, match="scans"):
        read(encode(image, "MPO", comment=b"\xff\xda" * (MOST_SCANS + 1), **options))


@pytest.mark.parametrize("kind", [b"VP8 ", b"VP8L", b"VP8X", b"VP9 "])
def test_a_webp_that_does_not_say_its_size_is_refused_as_broken(kind: bytes) -> None:
    with pytest.raises(UnprocessableError, match="cut off or broken"):
        read(b"RIFF\x10\0\0\0WEBP" + kind + b"\x04\0\0\0\x2f\0\0\0")


@pytest.mark.parametrize("part", [0.25, 0.5, 0.75])
def test_a_png_with_damaged_pixels_is_refused(part: float) -> None:
    content = bytearray(encode(noise(400)))
    at = int(len(content) * part)
    content[at : at + 40] = bytes(byte ^ 0x55 for byte in content[at : at + 40])
    with pytest.raises(UnprocessableError, match="cut off or broken"):
        read(bytes(content))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_picture_that_is_cut_off_is_refused_as_such(kind: str) -> None:
    content = encode(noise(200), kind)
    for part in (40, len(content) // 2, len(content) * 9 // 10):
        with pytest.raises(UnprocessableError, match="cut off or broken"):
            read(content[:part])


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_damage_anywhere_is_a_picture_or_a_clear_refusal(kind: str) -> None:
    chance = random.Random(7)  # noqa: S311 - no secret
    whole = encode(shapes().image, kind)
    for _ in range(150):
        damaged = bytearray(whole)
        for _ in range(chance.randint(1, 8)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        try:
            assert read(bytes(damaged)).pixels.shape == (64, 64, 3)
        except AppError as error:
            assert 400 <= error.status < 500  # noqa: PT017 - either end is right


@pytest.mark.parametrize(
    "content",
    [encode(noise(20), "GIF"), encode(noise(20), "BMP"), encode(noise(20), "TIFF"), b"<svg/>", b"%PDF-1.7", b""],
)
def test_other_formats_are_unsupported(content: bytes) -> None:
    with pytest.raises(UnsupportedMediaTypeError, match="PNG, JPEG or WebP"):
        read(content)


def test_base64_may_come_as_a_data_url_and_must_be_base64() -> None:
    text = base64(encode(shapes().image))
    assert np.array_equal(read(text).pixels, read(f"data:image/png;base64,{text}").pixels)
    for wrong in ("not base64!", text[:-1], "data:image/png," + text, "é" * 8):
        with pytest.raises(UnprocessableError, match="base64"):
            read(wrong)


def test_letterbox_bars_are_grey() -> None:
    picture = read(encode(Image.new("RGB", (200, 100), (255, 0, 0))))
    assert tuple(picture.pixels[0, 0]) == tuple(picture.pixels[-1, -1]) == BAR
    assert tuple(picture.pixels[32, 32]) == (255, 0, 0)
