"""troupe inspect: what is wrong with a picture is seen and said; what is right is left alone."""
import subprocess

import pytest
from conftest import assert_refused, troupe, troupe_json


def convert(source, out, *arguments):
    subprocess.run(["convert", source, *arguments, out], check=True)
    return out


def inspect(*pictures):
    report = troupe_json("inspect", *pictures)
    assert len(report["pictures"]) == len(pictures)
    return report["pictures"], " ".join(report["remarks"])


def said(picture):
    return " ".join(picture["remarks"])


@pytest.fixture
def photo(shared):
    return shared / "media/demo1.jpg"


def test_demonstration_character(character_png):
    (picture,), remarks = inspect(character_png)
    assert picture["verdict"] == "good" and picture["people"] == 1
    assert picture["shown"] == "whole body" and picture["face"]["height"] > 60
    assert "10 to 30" in remarks


def test_good_pictures_are_left_alone(shared):
    pictures, remarks = inspect(*(shared / "media" / name for name in ("demo1.jpg", "ref.jpg", "woman_sung.png")))
    assert [picture["verdict"] for picture in pictures] == ["good"] * 3
    assert [picture["shown"] for picture in pictures] == ["whole body", "whole body", "head and shoulders"]
    assert all(picture["people"] == 1 and picture["face"] for picture in pictures)
    assert "Replace" not in remarks and "3 pictures" in remarks


FAULTS = {
    "blurred": (["-resize", "1024x1024", "-blur", "0x4"], "blurred"),
    "dark": (["-evaluate", "multiply", "0.25"], "too dark"),
    "washed": (["+level", "65%,100%"], "washed out"),
    "flat": (["+level", "45%,55%"], "contrast"),
    "small": (["-resize", "200x"], "200 x 356"),
    "mirrored": (["-flop", "-resize", "60%"], "the same as picture 1, mirrored"),
    "copied": (["-quality", "40", "-resize", "70%"], "the same as picture 1."),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_said(fault, photo, tmp_path):
    arguments, words = FAULTS[fault]
    (whole, spoiled), remarks = inspect(photo, convert(photo, tmp_path / f"{fault}.jpg", *arguments))
    assert whole["verdict"] == "good", said(whole)
    assert spoiled["verdict"] == "replace" and words in said(spoiled), said(spoiled)
    assert "Replace picture 2." in remarks


def test_the_better_of_two_copies_stays(photo, tmp_path):
    soft = convert(photo, tmp_path / "soft.jpg", "-resize", "1024x1024", "-blur", "0x4")
    (worse, better), remarks = inspect(soft, photo)
    assert worse["same_as"] == 2 and better["verdict"] == "good"
    assert "Replace picture 1." in remarks


def test_two_people(photo, tmp_path):
    (picture,), _ = inspect(convert(photo, tmp_path / "two.png", photo, "+append"))
    assert picture["people"] == 2 and picture["verdict"] == "replace" and "2 people" in said(picture)


def test_cropping(photo, tmp_path):
    half = convert(photo, tmp_path / "half.png", "-crop", "540x1920+0+0", "+repage")
    near = convert(photo, tmp_path / "near.png", "-crop", "1080x700+0+0", "+repage")
    (cut, close), _ = inspect(half, near)
    assert cut["cut"] == ["right"] and "cut off at the right" in said(cut)
    assert close["shown"] == "head and shoulders" and close["verdict"] == "good"


def test_drawings_are_not_blamed(shared):
    (picture,), _ = inspect(shared / "media/drawing3/texture.png")
    assert picture["people"] == 0 and picture["verdict"] == "good" and "drawn" in said(picture)


def test_what_cannot_be_read_is_reported(character_png, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_text("this is no picture")
    pictures, remarks = inspect(bad, character_png, tmp_path / "missing.png")
    assert [picture["readable"] for picture in pictures] == [False, True, False]
    assert "PNG, JPEG or WebP" in said(pictures[0]) and "Replace pictures 1 and 3." in remarks


def test_nothing_to_report(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert_refused(troupe("inspect", tmp_path / "missing.png", "--quiet", check=False), empty, "none of the pictures")
    assert troupe("inspect", check=False).returncode == 2


def test_report_in_words(character_png):
    done = troupe("inspect", character_png, "--quiet")
    assert " 1  good" in done.stdout and "whole body" in done.stdout and "training wants 10 to 30" in done.stdout
