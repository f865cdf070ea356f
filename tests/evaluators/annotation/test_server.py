"""The annotation server's interface: what a page does, and what is refused."""

from __future__ import annotations

import asyncio
import errno
import gzip
import io
import json
import os
import shutil
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from moving_clip import H, W, moving_frames
from PIL import Image
from standin import StandInSegmenter, mask_of, write_clip
from starlette.testclient import TestClient

from voskit.dataloaders.masks.files import read_mask
from voskit.evaluators.annotation import session
from voskit.evaluators.annotation.events import EventHub
from voskit.evaluators.annotation.jobs import Jobs
from voskit.evaluators.annotation.security import Access
from voskit.evaluators.annotation.server import bind, build_app
from voskit.evaluators.annotation.workspace import Workspace
from voskit.evaluators.clips.video.writer import VideoWriter

FRAMES = 6


class Page:
    """A browser's page of one clip."""

    def __init__(self, client: TestClient, clip: str) -> None:
        self.client, self.clip = client, f"/api/clips/{clip}"

    def get(self, path: str = "") -> Any:
        return self.client.get(f"{self.clip}{path}")

    def paint(self, frame: int, ids: np.ndarray, revision: str | None = None, **headers: str) -> Any:
        revision = revision or self.get(f"/masks/{frame}").headers["etag"]
        body = gzip.compress(ids.astype("<u2").tobytes())
        headers = {
            "If-Match": revision,
            "Content-Encoding": "gzip",
            **{k.replace("_", "-"): v for k, v in headers.items()},
        }
        return self.client.put(f"{self.clip}/masks/{frame}", content=body, headers=headers)

    def mask(self, frame: int) -> np.ndarray:
        return np.frombuffer(self.get(f"/masks/{frame}").content, "<u2").reshape(H, W)

    def job(self, **values: Any) -> dict[str, Any]:
        """Run a job to its end; return its last state."""
        answer = self.client.post(f"{self.clip}/jobs", json=values)
        assert answer.status_code == 201, answer.text
        return self.ended(answer.json()["id"])

    def ended(self, job: int) -> dict[str, Any]:
        jobs = self.client.app.state.workspace.jobs  # type: ignore[attr-defined]
        end = time.monotonic() + 60
        while jobs[job].active and time.monotonic() < end:
            time.sleep(0.005)
        return jobs[job].to_json()


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    workspace = Workspace(tmp_path / "out", "stand-in", StandInSegmenter, root=tmp_path / "videos")  # type: ignore[arg-type]
    write_clip(tmp_path / "videos" / "clip", FRAMES)
    yield workspace
    workspace.close()


@pytest.fixture
def client(workspace: Workspace) -> TestClient:
    app = build_app(workspace, Access(token="token", upload_limit=2**20))
    app.state.workspace = workspace
    return TestClient(app, base_url="http://127.0.0.1:7860", headers={"Authorization": "token token"})


@pytest.fixture
def page(client: TestClient) -> Page:
    return opened(client, client.post("/api/clips", json={"path": "clip"}).json()["id"])


def opened(client: TestClient, clip: str) -> Page:
    page = Page(client, clip)
    end = time.monotonic() + 20
    while page.get().json()["state"] == "opening" and time.monotonic() < end:
        time.sleep(0.01)
    return page


def test_a_page_sees_the_clip_and_its_frames(page: Page, client: TestClient) -> None:
    clip = page.get().json()
    assert (clip["frames"], clip["height"], clip["width"], clip["given"], clip["masked"]) == (FRAMES, H, W, [], [])
    assert clip["times"] == [number / 25 for number in range(FRAMES)]
    frames = np.stack(moving_frames(FRAMES)).astype(int)
    for frame in (0, 3, 2, 1, 5):
        shown = np.asarray(Image.open(io.BytesIO(page.get(f"/frames/{frame}.jpg").content)))
        assert np.abs(frames - shown).mean((1, 2, 3)).argmin() == frame
    assert page.get("/frames/6.jpg").status_code == 404
    project = client.get("/api/project").json()
    assert [one["name"] for one in project["clips"]] == ["clip"]
    assert project["scenes"] == ["bunny.mp4", "cabinet"]
    assert "grabcut" in project["prompters"]


def test_the_file_holds_the_painted_mask(page: Page, tmp_path: Path) -> None:
    ids = mask_of(1, 300, 65535)
    empty = page.get("/masks/2")
    assert (empty.status_code, empty.headers["etag"]) == (204, '"0"')
    answer = page.paint(2, ids, X_Action="paint")
    assert answer.status_code == 204
    assert answer.headers["etag"] == page.get("/masks/2").headers["etag"]
    assert np.array_equal(page.mask(2), ids)
    for part in ("masks", "given"):
        assert np.array_equal(read_mask(tmp_path / "out" / "clip" / part / "00002.png"), ids)
    clip = page.get().json()
    assert (clip["given"], clip["masked"], clip["undo"]) == ([2], [[2, 2]], "paint, frame 2")
    assert [one["id"] for one in clip["objects"]] == [1, 300, 65535]
    removed = page.client.delete(f"{page.clip}/masks/2", headers={"If-Match": answer.headers["etag"]})
    assert (removed.status_code, removed.headers["etag"]) == (204, '"0"')
    assert page.get().json()["given"] == []


def test_a_second_page_can_t_overwrite_what_it_hasn_t_seen(page: Page) -> None:
    old = page.get("/masks/0").headers["etag"]
    assert page.paint(0, mask_of(1), old).status_code == 204
    stale = page.paint(0, mask_of(2), old)
    assert stale.status_code == 412
    assert stale.json() == {"error": "the mask of frame 0 has changed in the meantime: nothing was overwritten"}
    assert page.client.delete(f"{page.clip}/masks/0", headers={"If-Match": old}).status_code == 412
    assert np.array_equal(page.mask(0), mask_of(1))


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", {"If-Match": "0"}, 400),
        (b"x" * (2 * H * W + 2), {"If-Match": "0"}, 400),
        (b"x" * (2 * H * W), {}, 400),
        (b"x" * (2 * H * W), {"If-Match": "-1"}, 400),
        (b"x" * (2 * H * W), {"If-Match": "*"}, 400),
        (b"no gzip", {"If-Match": "0", "Content-Encoding": "gzip"}, 400),
        (gzip.compress(b"0" * 10**8), {"If-Match": "0", "Content-Encoding": "gzip"}, 400),
    ],
)
def test_masks_in_a_wrong_format_are_refused(page: Page, body: bytes, headers: dict[str, str], status: int) -> None:
    answer = page.client.put(f"{page.clip}/masks/0", content=body, headers=headers)
    assert answer.status_code == status
    assert page.get("/masks/0").status_code == 204


@pytest.mark.parametrize("path", ["/masks/99", "/masks/-1", "/masks/x", "/frames/x.jpg", "/frames/..%2f..%2fx.jpg"])
def test_frames_that_don_t_exist_are_not_found(page: Page, path: str) -> None:
    assert page.get(path).status_code == 404


def test_propagation_is_a_job_with_progress_confidences_and_undo(page: Page) -> None:
    page.paint(2, mask_of(1, 2))
    job = page.job(kind="propagate", first=2, last=5, objects=None, fuse=False)
    assert (job["state"], job["done"], job["total"], job["frame"]) == ("done", 3, 3, 5)
    assert page.job(kind="propagate", first=2, last=0)["state"] == "done"
    assert np.array_equal(page.mask(4), np.roll(mask_of(1, 2), 2, axis=1))
    quality = page.get("/quality").json()
    assert quality["objects"]["1"] == [0.3333, 0.5, None, 0.5, 0.3333, 0.25]
    assert quality["next"] == {"frame": 4, "object": 1, "confidence": 0.3333}
    undone = page.client.post(f"{page.clip}/undo").json()
    assert undone == {"text": "propagation 2-0", "frames": [0, 1]}
    page.client.post(f"{page.clip}/undo")
    assert page.get().json()["masked"] == [[2, 2]]
    assert page.client.post(f"{page.clip}/redo").json()["frames"] == [3, 4, 5]
    page.client.post(f"{page.clip}/redo")
    assert page.client.post(f"{page.clip}/redo").status_code == 409
    assert page.get("/quality").json() == quality


def test_a_running_propagation_is_visible_makes_another_wait_and_can_be_stopped(
    page: Page, workspace: Workspace
) -> None:
    workspace.segmenter().seconds = 0.1  # type: ignore[attr-defined]
    page.paint(0, mask_of(1))
    job = page.client.post(f"{page.clip}/jobs", json={"kind": "propagate", "first": 0, "last": 5}).json()["id"]
    assert page.get().json()["job"]["id"] == job
    assert [event[2]["id"] for event in workspace.present()] == [job]
    start = lambda: page.client.post(f"{page.clip}/jobs", json={"kind": "propagate", "first": 0, "last": 5})  # noqa: E731
    waiting = start().json()["id"]
    refused = start()
    assert (refused.status_code, "stop them first" in refused.json()["error"]) == (409, True)
    assert page.client.delete(f"{page.clip}/objects/1").status_code == 409
    undo = page.client.post(f"{page.clip}/undo")
    assert (undo.status_code, "stop it first" in undo.json()["error"], page.get().json()["given"]) == (409, True, [0])
    assert page.client.delete(f"/api/jobs/{job}").status_code == 204
    ended = page.ended(job)
    assert ended["state"] == "stopped"
    assert ended["done"] < 5
    assert page.ended(waiting)["state"] == "stopped"  # it waited for this one
    assert [event[2]["state"] for event in workspace.present()] == ["stopped", "stopped"]
    assert page.client.post(f"{page.clip}/undo").status_code == 200
    assert page.client.delete(page.clip).status_code == 204


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"kind": "propagate", "first": 0, "last": 5}, "frame 0 has no mask with an object to propagate"),
        ({"kind": "propagate", "first": 0, "last": 99}, "there is no frame 99"),
        ({"kind": "propagate", "first": "0", "last": 5}, "first must be an integer"),
        ({"kind": "propagate", "first": 0, "last": 5, "objects": ["1"]}, "objects must be a list of ids"),
        ({"kind": "export", "formats": ["nonsense"]}, "nonsense"),
        ({"kind": "export", "formats": []}, "formats must be a list"),
        ({"kind": "dance"}, "kind must be propagate, overlay or export"),
    ],
)
def test_jobs_that_can_t_run_are_refused_at_once(page: Page, values: dict[str, Any], error: str) -> None:
    answer = page.client.post(f"{page.clip}/jobs", json=values)
    assert answer.status_code == 400
    assert error in answer.json()["error"]


def test_objects_are_named_locked_merged_and_deleted(page: Page) -> None:
    page.paint(0, mask_of(1, 2, 3))
    put = lambda object_id, **values: page.client.put(f"{page.clip}/objects/{object_id}", json=values)  # noqa: E731
    assert put(2, name="cup", color="#12AB9f", visible=False, locked=True).status_code == 200
    assert page.get().json()["objects"][1] == {
        "id": 2, "name": "cup", "color": "#12AB9f", "visible": False, "locked": True, "given": 1,
    }  # fmt: skip
    for values in ({"color": "red"}, {"name": 3}, {"locked": 1}, {"size": 2}, {"name": "x" * 201}):
        assert put(2, **values).status_code == 400
    assert put(0, name="background").status_code == 400
    assert page.client.post(f"{page.clip}/objects").json() == {"id": 4}
    assert page.client.post(f"{page.clip}/objects/merge", json={"from": 3, "into": 1}).json() == {"frames": 1}
    assert page.client.post(f"{page.clip}/objects/merge", json={"from": 1, "into": 1}).status_code == 400
    assert np.array_equal(page.mask(0), mask_of(1, 2, 1))
    assert page.client.delete(f"{page.clip}/objects/1").json() == {"frames": 1}
    assert [one["id"] for one in page.get().json()["objects"]] == [2, 4]
    assert page.client.post(f"{page.clip}/undo").json()["text"] == "deletion of object 1"
    assert np.array_equal(page.mask(0), mask_of(1, 2, 1))


def test_a_click_shows_a_mask_that_is_not_stored(page: Page) -> None:
    answer = page.client.post(f"{page.clip}/prompt", json={"frame": 1, "object": 1, "box": [10, 10, 60, 50]})
    assert answer.status_code == 200
    assert set(np.frombuffer(answer.content, np.uint8).reshape(H, W).ravel().tolist()) <= {0, 1}
    assert page.get("/masks/1").status_code == 204
    for values in ({}, {"frame": 1, "object": 1}, {"frame": 99, "object": 1, "points": [[1, 1, 1]]},
                   {"frame": 1, "object": 1, "points": [[1, 1]]}, {"frame": 1, "object": 1, "box": 7},
                   {"frame": 1, "object": 1, "box": [1, 1, 9, 9], "prompter": "sam:weights=/etc"}):  # fmt: skip
        assert page.client.post(f"{page.clip}/prompt", json=values).status_code == 400


def test_an_export_is_one_zip_and_can_be_imported_again(page: Page, tmp_path: Path) -> None:
    page.paint(0, mask_of(1, 7))
    page.job(kind="propagate", first=0, last=5)
    job = page.job(kind="export", formats=["png", "csv"])
    assert (job["state"], job["file"], job["error"]) == ("done", True, None)
    answer = page.client.get(f"/api/jobs/{job['id']}/file")
    assert "clip.zip" in answer.headers["content-disposition"]
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        pngs = sorted(name for name in archive.namelist() if name.endswith(".png"))
        assert len(pngs) == FRAMES
        assert any(name.endswith(".csv") for name in archive.namelist())
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as masks:
            for name in pngs:
                masks.writestr(Path(name).name, archive.read(name))
    before = [page.mask(number) for number in range(FRAMES)]
    page.client.delete(f"{page.clip}/objects/1")
    page.client.delete(f"{page.clip}/objects/7")
    answer = page.client.post(f"{page.clip}/import", files={"masks": ("masks.zip", packed.getvalue())})
    assert answer.json() == {"frames": [0, 1, 2, 3, 4, 5], "objects": [1, 7]}
    assert all(np.array_equal(page.mask(number), before[number]) for number in range(FRAMES))
    assert page.client.post(f"{page.clip}/undo").json()["text"] == "import of masks"
    assert page.client.get("/api/jobs/99/file").status_code == 404


def png(ids: np.ndarray) -> bytes:
    out = io.BytesIO()
    Image.fromarray(ids.astype(np.uint8)).save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize(
    ("names", "frames"), [(("00001.png", "00004.png"), [1, 4]), (("cat.png", "dog.png"), [3]), (("00001.png",), [3])]
)
def test_masks_of_an_archive_go_to_the_named_frames_or_to_the_given_one(page: Page, names, frames) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for number, name in enumerate(names):
            mask = mask_of(1)
            archive.writestr(name, png(255 * (np.roll(mask, 9 * number, 1) > 0)))
    answer = page.client.post(
        f"{page.clip}/import", files={"mask": ("masks.zip", packed.getvalue())}, data={"frame": "3"}
    )
    assert answer.json()["frames"] == frames


def test_remarks_on_imported_masks_are_logged_once(page: Page, caplog: pytest.LogCaptureFixture) -> None:
    names = ("00001.png", "00002.png", "elsewhere.png")
    square = [[5, 10, 15, 10, 15, 20, 5, 20]]
    images = [{"id": i, "file_name": name, "height": H, "width": W} for i, name in enumerate(names)]
    regions = [{"id": 1 + i, "image_id": i, "category_id": 1, "segmentation": square} for i in range(3)]
    data = json.dumps({"images": images, "annotations": regions})
    files = {"mask": ("masks.json", data.encode())}
    assert page.client.post(f"{page.clip}/import", files=files, data={"frame": "3"}).json()["frames"] == [1, 2]
    assert caplog.text.count("1 of its 3 images aren't frames of this clip") == 1


def test_single_masks_are_imported_for_a_frame_or_by_their_names(page: Page) -> None:
    send = lambda name, data, **fields: page.client.post(  # noqa: E731
        f"{page.clip}/import", files={"mask": (name, data)}, data=fields
    )
    assert send("any.png", png(mask_of(1, 2)), frame="3").json()["frames"] == [3]
    assert send("00004.png", png(mask_of(1, 2))).json()["frames"] == [4]
    assert np.array_equal(page.mask(4), mask_of(1, 2))
    for name, data, error in (
        ("any.png", png(mask_of(1)), "any.png is not named after a frame"),
        ("00001.png", png(mask_of(1)[:50]), "00001.png"),
        ("00001.png", b"no picture", "00001.png"),
        ("masks.zip", b"no zip", "masks.zip is not a readable zip file"),
    ):
        answer = send(name, data)
        assert answer.status_code == 400
        assert answer.json()["error"].startswith(error)
        assert "import-" not in answer.json()["error"]
    assert page.client.post(f"{page.clip}/import").status_code == 400
    assert page.get().json()["given"] == [3, 4]


def test_a_zip_can_t_write_outside_its_folder(page: Page, tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in ("../../00000.png", "/00001.png", "..\\..\\00002.png"):
            archive.writestr(name, png(mask_of(1)))
    files = lambda: {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png")}  # noqa: E731
    before = files()
    answer = page.client.post(f"{page.clip}/import", files={"masks": ("masks.zip", packed.getvalue())})
    assert answer.json()["frames"] == [0, 1, 2]
    assert files() - before == {f"out/clip/{part}/0000{n}.png" for part in ("masks", "given") for n in range(3)}


def test_videos_are_uploaded_up_to_the_limit(client: TestClient, tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "film.mp4") as writer:
        for number in range(3):
            writer.write(np.full((64, 96, 3), 40 * number, np.uint8))
    data = (tmp_path / "film.mp4").read_bytes()
    answer = client.post("/api/clips", files={"video": ("../film.mp4", data)})
    assert answer.status_code == 201
    assert opened(client, answer.json()["id"]).get().json()["frames"] == 3
    assert (tmp_path / "out" / "uploads" / "film.mp4").read_bytes() == data
    large = client.post("/api/clips", files={"video": ("large.mp4", b"0" * (2**20 + 1))})
    assert (large.status_code, large.json()["error"]) == (413, "the request is larger than 1 MB")
    assert client.post("/api/clips", files={"other": ("film.mp4", data)}).status_code == 400
    bad = client.post("/api/clips", files={"video": ("notes.mp4", b"no video")})
    assert opened(client, bad.json()["id"]).get().json()["state"] == "failed"


@pytest.mark.parametrize("path", ["../out", "/etc/passwd", "..", "nothing", ""])
def test_clips_outside_the_root_are_not_opened(client: TestClient, path: str) -> None:
    answer = client.post("/api/clips", json={"path": path})
    assert answer.status_code in (400, 403, 404)
    assert client.get("/api/project").json()["clips"] == []


def test_an_upload_larger_than_the_free_disk_space_is_refused_unread(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(100, 90, 10))
    assert client.post("/api/clips", files={"video": ("film.mp4", b"0" * 1000)}).status_code == 507
    assert client.get("/api/project").json()["clips"] == []


def test_a_full_disk_is_reported_and_damages_nothing(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    page.paint(0, mask_of(1))

    def full(path: Path, *_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(session, "write_mask", full)
    answer = page.paint(0, mask_of(2))
    assert answer.status_code == 507
    assert answer.json()["error"].startswith("the disk is full, nothing was saved")
    monkeypatch.undo()
    assert np.array_equal(page.mask(0), mask_of(1))
    assert page.paint(0, mask_of(2)).status_code == 204


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b"\xff", b"[" * 100_000, b'{"a": ' * 50_000, b'{"a": NaN}', b'{"a": 1e999}', b'{"a": "\\ud800"}'],
)
def test_bodies_that_are_not_json_objects_are_refused(page: Page, body: bytes) -> None:
    for method, path in (("PUT", "/view"), ("POST", "/jobs"), ("POST", "/prompt"), ("POST", "/objects/merge")):
        assert page.client.request(method, f"{page.clip}{path}", content=body).status_code in (400, 413)


@pytest.mark.parametrize(
    ("method", "path", "values", "error"),
    [
        ("PUT", "/objects/1", {"object_id": 3}, "an object has no 'object_id'"),
        ("PUT", "/objects/1", {"self": 3}, "an object has no 'self'"),
        ("POST", "/objects", {"name": None}, "name must be text"),
        ("POST", "/prompt", {"frame": 0, "object": 1, "points": [[10**400, 1, 1]]}, "points are [x, y, 0 or 1]"),
        ("POST", "/prompt", {"frame": 0, "object": 1, "box": [0, 0, 10**400, 1]}, "points are [x, y, 0 or 1]"),
        ("POST", "/jobs", {"kind": "propagate", "first": 0, "last": 2, "objects": 5}, "objects must be a list of ids"),
    ],
)
def test_values_of_a_wrong_type_are_refused(page: Page, method: str, path: str, values: dict, error: str) -> None:
    page.paint(0, mask_of(1))
    answer = page.client.request(method, f"{page.clip}{path}", json=values)
    assert (answer.status_code, answer.json()["error"][: len(error)]) == (400, error)


@pytest.mark.parametrize(
    ("method", "path", "status", "error"),
    [
        ("PATCH", "/api/project", 405, "PATCH /api/project: Method Not Allowed"),
        ("GET", "/api/nothing", 404, "GET /api/nothing: Not Found"),
        ("DELETE", "/api/jobs/5", 404, "there is no such job: reload the page"),
        ("GET", "/api/jobs/5/file", 404, "there is no such job: reload the page"),
    ],
)
def test_an_error_of_any_address_is_json(client: TestClient, method: str, path: str, status: int, error: str) -> None:
    answer = client.request(method, path)
    assert (answer.status_code, answer.json()) == (status, {"error": error})


def test_the_result_of_a_removed_clip_is_not_found(page: Page) -> None:
    page.paint(0, mask_of(1))
    job = page.job(kind="overlay")["id"]
    for _ in range(2):  # of two pages, the second has found the clip before the first removed it
        page.client.app.state.workspace.project.remove(page.clip.rpartition("/")[2])  # type: ignore[attr-defined]
    answer = page.client.get(f"/api/jobs/{job}/file")
    assert (answer.status_code, answer.json()) == (404, {"error": "there is no such clip: reload the page"})


@pytest.mark.parametrize("path", ["/api/clips", "/import"])
def test_a_damaged_form_is_refused(page: Page, path: str) -> None:
    address = path if path.startswith("/api") else f"{page.clip}{path}"
    for kind in ("multipart/form-data", "multipart/form-data; boundary=x"):
        answer = page.client.post(address, content=b"garbage", headers={"Content-Type": kind})
        assert answer.status_code == 400
        assert answer.json()["error"].startswith("the body is not a multipart form: ")


@pytest.mark.parametrize("names", [("a/00000.png", "b/a/00000.png"), ("a", "a/00000.png"), ("masks.zip", "x.png")])
def test_a_zip_with_a_name_twice_is_refused(page: Page, names: tuple[str, str]) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in names:
            archive.writestr(name, png(mask_of(1)))
    answer = page.client.post(f"{page.clip}/import", files={"masks": ("masks.zip", packed.getvalue())})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("masks.zip: two files or folders are named ")


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_damaged_zip_is_refused(page: Page, method: int) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        archive.writestr("00000.png", bytes(range(256)) * 40)
    data = bytearray(packed.getvalue())
    data[50:70] = b"\xff" * 20
    answer = page.client.post(f"{page.clip}/import", files={"masks": ("masks.zip", bytes(data))})
    assert (answer.status_code, answer.json()) == (400, {"error": "masks.zip is not a readable zip file"})


def test_an_upload_that_is_not_a_clip_is_removed(client: TestClient, tmp_path: Path) -> None:
    assert client.post("/api/clips", files={"video": ("film.mp4", b"")}).status_code == 400
    assert list((tmp_path / "out" / "uploads").iterdir()) == []


def test_a_long_name_of_an_upload_is_cut(client: TestClient, tmp_path: Path) -> None:
    name = "\U00020000" * 80  # 320 bytes
    for suffix in ("", "_2"):
        assert client.post("/api/clips", files={"video": (f"{name}.mp4", b"no video")}).status_code == 201
        assert (tmp_path / "out" / "uploads" / f"{name[:50]}{suffix}.mp4").exists()


def test_scene_cuts_are_found_in_the_background_and_kept(client: TestClient, tmp_path: Path) -> None:
    folder = tmp_path / "videos" / "two shots"
    folder.mkdir()
    pictures = np.random.default_rng(0).integers(0, 255, (2, 9, 16, 3), dtype=np.uint8)
    pictures[1, ..., 1:] //= 8
    for number in range(8):
        picture = Image.fromarray(pictures[number // 5]).resize((160, 90), Image.Resampling.BICUBIC)
        picture.save(folder / f"{number}.png")
    page = opened(client, client.post("/api/clips", json={"path": "two shots"}).json()["id"])
    end = time.monotonic() + 60
    while not page.get().json()["cuts"] and time.monotonic() < end:
        time.sleep(0.02)
    assert page.get().json()["cuts"] == [5]
    assert json.loads((tmp_path / "out" / "two shots" / ".annotation" / "cuts.json").read_text()) == [5]


def test_a_view_is_kept_and_limited(page: Page) -> None:
    assert page.client.put(f"{page.clip}/view", json={"frame": 3}).status_code == 204
    assert page.get().json()["view"] == {"frame": 3}
    assert page.client.put(f"{page.clip}/view", json={"x": "y" * 70_000}).status_code == 413


def test_changes_reach_every_page_and_are_merged_for_slow_ones() -> None:
    async def run() -> tuple[list[str], list[str]]:
        hub = EventHub()
        quick, slow = hub.stream(lambda: [("job", "1", {"id": 1})]), hub.stream(list)
        heard = [await anext(quick), await anext(quick)]
        await anext(slow)
        for number in range(1000):
            hub.publish("clip", "c", lambda n=number: {"clip": "c", "revisions": {n: 7}, "undo": str(n)})
        heard.append(await anext(quick))
        late = [await anext(slow)]
        hub.close()
        return heard, late

    heard, late = asyncio.run(run())
    assert heard[:2] == ["event: connected\ndata: {}\n\n", 'event: job\ndata: {"id": 1}\n\n']
    values = json.loads(late[0].split("data: ")[1])
    assert len(values["revisions"]) == 1000
    assert values["undo"] == "999"


def test_nothing_is_kept_for_pages_that_left_or_never_streamed() -> None:
    def broken() -> Any:
        raise OSError("no state")

    async def read(hub: EventHub) -> None:
        async for _ in hub.stream(list):
            pass

    async def run() -> None:
        hub = EventHub()
        page = asyncio.create_task(read(hub))
        await asyncio.sleep(0.1)
        page.cancel()
        await asyncio.wait([page])
        with pytest.raises(OSError, match="no state"):
            await anext(hub.stream(broken))
        hub.publish("clip", "c", lambda: pytest.fail("somebody still listens"))

    asyncio.run(run())


def test_a_port_that_doesn_t_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="--port must be between 0 and 65535, got 99999"):
        bind("127.0.0.1", 99999)


def test_a_port_in_use_is_reported_with_the_flag_to_change() -> None:
    with bind("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(OSError, match=f"--port {port} is in use"):
            bind("127.0.0.1", port)
    with pytest.raises(OSError, match=r"--host 203\.0\.113\.7"):
        bind("203.0.113.7", 0)


def test_jobs_of_a_restarted_server_have_new_numbers() -> None:
    numbers = []
    for _ in range(2):
        jobs = Jobs(lambda job: None)
        numbers += [jobs.start("clip", "export", 1, lambda job: None).id for _ in range(2)]
        jobs.close()
        time.sleep(0.01)
    assert len(set(numbers)) == 4
