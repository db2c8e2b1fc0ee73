"""The main job on material of which everything is known, and what every result must keep of its input."""
import hashlib
import json

import pytest
from conftest import ffmpeg, make_material, probe, troupe, troupe_json, truth


def test_tracks_match_the_truth(scene, material):
    truth("tracks", scene, material, "--min-pck=0.95", "--min-iou=0.9")


def test_the_plate_matches_the_truth(scene, material):
    truth("plate", scene, material, "--min-seen=35", "--min-filled=22")


@pytest.mark.parametrize("model", ["V4_Preview", "V3_Preview"])
def test_the_character_moves_like_the_performer(model, material, character, tmp_path):
    out = tmp_path / "out.mp4"
    result = troupe_json("render", "--character", character, "--video", material / "performance.mp4", "--model", model, "-o", out)
    assert result["frames_with_character"] == result["frames"] == 72
    truth("motion", material / "performance.mp4", out, "--max-degrees=4", "--max-missing=0")


def streams(path):
    return {stream["codec_type"]: stream for stream in probe(path, "-show_streams", "-count_packets")["streams"]}


def packets(path, kind):
    found = probe(path, "-select_streams", kind, "-show_packets", "-show_data_hash", "md5")["packets"]
    return [(float(packet["pts_time"]), packet["data_hash"]) for packet in found]


def assert_kept(source, result):
    """Duration, frame count, frame rate, times and sound of the result are those of the source."""
    before, after = streams(source), streams(result)
    for field in ("nb_read_packets", "avg_frame_rate", "r_frame_rate"):
        assert after["video"][field] == before["video"][field], field
    assert float(after["video"]["duration"]) == pytest.approx(float(before["video"]["duration"]), abs=1e-3)
    assert [t for t, _ in sorted(packets(result, "v"))] == pytest.approx([t for t, _ in sorted(packets(source, "v"))], abs=1e-3)
    assert after["video"]["codec_name"] == "h264" and after["video"]["pix_fmt"] == "yuv420p"
    assert ("audio" in after) == ("audio" in before)
    if "audio" in before:
        assert [h for _, h in packets(result, "a")] == [h for _, h in packets(source, "a")]
        assert [t for t, _ in packets(result, "a")] == pytest.approx([t for t, _ in packets(source, "a")], abs=1e-3)


def test_output_equals_input_in_time_and_sound(material, rendered):
    assert_kept(material / "performance.mp4", rendered)


def test_the_index_lies_in_front(rendered):
    start = rendered.read_bytes()[:4096]
    assert b"moov" in start and start.index(b"moov") < 64


def test_the_same_inputs_give_the_same_bytes(character_png, material, tmp_path):
    """From raw files, twice: every file that is made, byte for byte."""
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        troupe("character", character_png, "-o", folder / "character", "--quiet")
        troupe("scene", material / "performance.mp4", "-o", folder / "scene", "--quiet")
        troupe("render", "--character", folder / "character", "--scene", folder / "scene", "-o", folder / "out.mp4", "--quiet")
        troupe("render", "--character", character_png, "--video", material / "performance.mp4", "-o", folder / "whole.mp4", "--quiet")
    digest = lambda folder: {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.rglob("*")) if p.is_file()}
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    assert (tmp_path / "a/out.mp4").read_bytes() == (tmp_path / "a/whole.mp4").read_bytes(), "prepared or not makes no difference"


def raw_frames(path, pix_fmt, tmp_path):
    out = tmp_path / (path.stem + ".raw")
    ffmpeg("-i", path, "-f", "rawvideo", "-pix_fmt", pix_fmt, out)
    return out.read_bytes()


def test_solid_background(character, scene, tmp_path):
    out = tmp_path / "solid.mp4"
    troupe("render", "--character", character, "--scene", scene, "-o", out, "--background", "solid", "--bg-color", "200,30,90", "--quiet")
    red, green, blue = raw_frames(out, "rgb24", tmp_path)[:3]
    assert abs(red - 200) < 6 and abs(green - 30) < 6 and abs(blue - 90) < 6


def test_transparent_background_and_mask(character, scene, rendered, tmp_path):
    out, mask = tmp_path / "out.mp4", tmp_path / "mask.mp4"
    result = troupe_json("render", "--character", character, "--scene", scene, "-o", out, "--background", "transparent", "--mask", mask)
    assert result["mask"] == str(mask)
    picture, cover = raw_frames(out, "gray", tmp_path), raw_frames(mask, "gray", tmp_path)
    assert len(picture) == len(cover) == len(raw_frames(rendered, "gray", tmp_path))
    share = sum(value > 127 for value in cover[::97]) / len(cover[::97])
    assert 0.02 < share < 0.5, "white where the character is, black elsewhere"
    outside = [value for value, alpha in zip(picture[::97], cover[::97]) if alpha < 4]
    assert sum(value > 24 for value in outside) < 0.01 * len(outside), "black outside of the mask"


def test_transparent_names_its_own_mask(character, scene, tmp_path):
    result = troupe_json("render", "--character", character, "--scene", scene, "-o", tmp_path / "out.mp4", "--background", "transparent")
    assert result["mask"] == str(tmp_path / "out-mask.mp4") and (tmp_path / "out-mask.mp4").exists()


def test_contact_sheet(character, scene, tmp_path):
    sheet = tmp_path / "sheet.png"
    troupe("render", "--character", character, "--scene", scene, "-o", tmp_path / "out.mp4", "--contact-sheet", sheet, "--quiet")
    assert probe(sheet, "-show_streams")["streams"][0]["width"] == 1920


def variants(source, folder):
    """The same performance in other clothes."""
    ffmpeg("-i", source, "-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "libopus", folder / "webm.webm")
    ffmpeg("-i", source, "-c:v", "mpeg4", "-q:v", "3", "-c:a", "mp3", folder / "avi.avi")
    ffmpeg("-i", source, "-c", "copy", "-f", "matroska", folder / "mkv.mkv")
    ffmpeg("-i", source, "-c", "copy", "-f", "mov", folder / "mov.mov")
    ffmpeg("-i", source, "-an", "-c:v", "copy", folder / "silent.mp4")
    ffmpeg("-i", source, "-c", "copy", "-map", "0", "-map", "0:a", folder / "two-sounds.mp4")
    ffmpeg("-i", source, "-vf", "select='not(eq(mod(n,5),2))'", "-vsync", "vfr", "-c:a", "copy", folder / "vfr.mp4")
    ffmpeg("-i", source, "-vf", "transpose=1", "-c:a", "copy", folder / "lying.mp4")
    ffmpeg("-i", folder / "lying.mp4", "-c", "copy", "-metadata:s:v", "rotate=90", folder / "rotated.mp4")
    return sorted(path for path in folder.iterdir() if path.name != "lying.mp4")


def test_containers_rates_and_rotation(material, character, tmp_path):
    short = tmp_path / "short.mp4"
    ffmpeg("-i", material / "performance.mp4", "-t", "1", "-c:v", "libx264", "-c:a", "copy", short)
    folder = tmp_path / "variants"
    folder.mkdir()
    for source in variants(short, folder):
        out = tmp_path / (source.stem + ".mp4")
        result = troupe_json("render", "--character", character, "--video", source, "-o", out)
        assert (result["width"], result["height"]) == (360, 640), source.name
        assert result["frames_with_character"] == result["frames"], source.name
        if source.suffix == ".mp4" and source.stem != "two-sounds":
            assert_kept(source, out)


def test_odd_sizes_lose_one_row(material, character, tmp_path):
    odd = tmp_path / "odd.mkv"
    ffmpeg("-i", material / "performance.mp4", "-t", "1", "-vf", "crop=351:633", "-c:v", "ffv1", "-pix_fmt", "yuv444p", "-c:a", "copy", odd)
    result = troupe_json("render", "--character", character, "--video", odd, "-o", tmp_path / "out.mp4")
    assert (result["width"], result["height"]) == (350, 632)


def test_several_people_and_the_chosen_one(character, tmp_path):
    """Both performers get an id; the one who is not chosen keeps his look."""
    folder = make_material(tmp_path / "two", "--two", "--seconds", "2", "--width", "640", "--height", "360")
    scene = tmp_path / "scene"
    described = troupe_json("scene", folder / "performance.mp4", "-o", scene)
    assert [person["id"] for person in described["people"]] == [1, 2]
    results = []
    for person in (1, 2):
        out = tmp_path / f"{person}.mp4"
        troupe("render", "--character", character, "--scene", scene, "--person", person, "-o", out, "--quiet")
        results.append(raw_frames(out, "gray", tmp_path))
    source = raw_frames(folder / "performance.mp4", "gray", tmp_path)
    frame = 640 * 360
    halves = []
    for result in results:
        changed = [sum(abs(a - b) > 40 for a, b in zip(result[y * 640 + x0 : y * 640 + x0 + 320], source[y * 640 + x0 : y * 640 + x0 + 320]))
                   for x0 in (0, 320) for y in range(0, 360)]
        halves.append((sum(changed[:360]), sum(changed[360:])))
    assert frame and halves[0][0] > 3 * halves[0][1] and halves[1][1] > 3 * halves[1][0], halves


def test_moving_camera(character, tmp_path):
    folder = make_material(tmp_path / "pan", "--moving-camera", "--seconds", "2", "--width", "360", "--height", "640")
    scene = tmp_path / "scene"
    troupe("scene", folder / "performance.mp4", "-o", scene, "--quiet")
    truth("tracks", scene, folder, "--min-pck=0.95")
    truth("plate", scene, folder, "--min-seen=32", "--min-filled=20")


def test_pose_of_a_picture(character_png, tmp_path):
    result = troupe_json("pose", character_png, "--overlay", tmp_path / "overlay.png")
    person = result["people"][0]
    assert len(person["landmarks"]) == len(person["world"]) == 33 and all(len(point) == 4 for point in person["landmarks"])
    assert len(person["box"]) == 4 and (tmp_path / "overlay.png").exists()


def test_pose_of_a_video_is_a_line_a_frame(material, tmp_path):
    done = troupe("pose", material / "performance.mp4", "--json", "--quiet", "--overlay", tmp_path / "overlay.mp4")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["frame"] for line in lines] == list(range(72))
    assert all(len(line["people"]) == 1 for line in lines)
    assert_kept(material / "performance.mp4", tmp_path / "overlay.mp4")


def test_joints_can_be_given(character_png, tmp_path):
    (tmp_path / "joints.json").write_text(json.dumps({"joints": {"left_wrist": [500, 700]}}))
    result = troupe_json("character", character_png, "-o", tmp_path / "c", "--joints", tmp_path / "joints.json")
    assert result["joints"]["left_wrist"][:2] == [500, 700]


def test_a_mask_can_be_given(character_png, tmp_path):
    """Only what the mask shows is cut out."""
    flat, mask = tmp_path / "flat.png", tmp_path / "mask.png"
    ffmpeg("-i", character_png, "-f", "lavfi", "-i", "color=gray:s=3000x3000", "-filter_complex", "[1][0]scale2ref[g][c];[g][c]overlay=format=auto", "-frames:v", "1", flat)
    ffmpeg("-i", character_png, "-vf", "alphaextract", "-frames:v", "1", mask)
    troupe("character", flat, "-o", tmp_path / "c", "--mask", mask, "--quiet")
    alpha = tmp_path / "alpha.raw"
    ffmpeg("-i", tmp_path / "c" / "cutout.png", "-vf", "alphaextract", "-f", "rawvideo", "-pix_fmt", "gray", alpha)
    wanted = tmp_path / "wanted.raw"
    ffmpeg("-i", mask, "-f", "rawvideo", "-pix_fmt", "gray", wanted)
    pairs = list(zip(alpha.read_bytes()[::53], wanted.read_bytes()[::53]))
    assert sum((a > 127) != (w > 127) for a, w in pairs) < 0.01 * len(pairs)
