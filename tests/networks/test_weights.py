"""Published weights: the catalog, files on the disk, downloads and everything that can go wrong with them."""

from __future__ import annotations

import hashlib
import io
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from training_trees import static_tree
from weights_host import LOGIN_PAGE, QUOTA_PAGE, WeightsHost, confirmation_page, serve

from voskit.configs import list_models
from voskit.networks import build_model, downloads, save_weights, weights
from voskit.networks.weights import find_encoder, find_weights, list_published, published_weights
from voskit.trainers.run import train

XMEM = "/hkchengrex/XMem/releases/download/v1.0/XMem.pth"
AOTT = "1owPmwV4owd_ll6GuilzklqTyAd0ZvbCu"
AOTT_PRE = "1_513h8Hok9ySQPMs_dHgX5sPexUhyCmy"
R50_DEAOTL = "1QoChMkTVxdYZ_eBlZhK2acq9KMQZccPJ"


def checkpoint_bytes(seed: int = 0) -> bytes:
    """A checkpoint of two megabytes."""
    buffer = io.BytesIO()
    torch.save({"x": torch.rand(2**19, generator=torch.Generator().manual_seed(seed))}, buffer)
    return buffer.getvalue()


CONTENT = checkpoint_bytes()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of downloads, which are allowed; ``pretrain_models`` is empty."""
    monkeypatch.setenv("VOSKIT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("VOSKIT_OFFLINE", raising=False)
    monkeypatch.setattr(weights, "PRETRAINED", tmp_path / "pretrain_models")
    return tmp_path / "home" / "weights"


@pytest.fixture
def host(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WeightsHost]:
    """GitHub and Google Drive, each with one checkpoint, and without pauses between retries."""
    host = WeightsHost({XMEM: CONTENT, R50_DEAOTL: CONTENT})
    monkeypatch.setattr(random, "uniform", lambda *_: 0.0)
    monkeypatch.setattr(downloads, "_POLL", 0.02)
    server = serve(host, monkeypatch)
    yield host
    host.released.set()
    server.shutdown()
    server.server_close()


def files_in(folder: Path) -> list[str]:
    """Names of visible files."""
    return sorted(p.name for p in folder.glob("[!.]*")) if folder.exists() else []


# the catalog


def test_every_published_checkpoint_has_a_registered_model() -> None:
    checkpoints = [entry for entry in list_published() if entry.model and entry.url]
    assert len(checkpoints) == 65
    assert {entry.model for entry in checkpoints} <= set(list_models())
    assert len({(entry.model, entry.variant) for entry in checkpoints}) == 65
    assert len({entry.file for entry in list_published()}) == len(list_published())
    assert all(entry.url.startswith("https://") for entry in list_published() if entry.variant != "open")


def test_encoders_carry_their_digest_unless_their_authors_gave_none() -> None:
    encoders = {entry.file: entry.digest for entry in list_published() if not entry.model}
    assert encoders.pop("swin_base_patch4_window7_224_22k.pth") == ""
    assert encoders["mobilenet_v2-b0353104.pth"] == "b0353104"
    assert len(encoders) == 7 and all(len(digest) == 8 for digest in encoders.values())


@pytest.mark.parametrize(
    ("model", "file"),
    [
        ("deaott", "deaott_open.safetensors"),
        ("aott", "AOTT_PRE_YTB_DAV.pth"),
        ("r50_deaotl", "R50_DeAOTL_PRE_YTB_DAV.pth"),
        ("xmem_s2", "XMem-s2.pth"),
        ("jointformer", "jointformer_s012.pth"),
        ("vswinb_referformer", "vswinb_referformer_ytvos.pth"),
    ],
)
def test_the_main_variant(model: str, file: str) -> None:
    assert published_weights(model).file == file


def test_every_model_has_one_main_variant() -> None:
    main = [entry.model for entry in list_published() if entry.is_main]
    assert sorted(main) == sorted({entry.model for entry in list_published() if entry.model})


def test_other_variants_by_name() -> None:
    assert published_weights("deaott", "PRE").file == "DeAOTT_PRE.pth"
    assert published_weights("r50_deaotl", "pre") == published_weights("r50_deaotl", "PRE")


@pytest.mark.parametrize(
    ("model", "variant", "text"),
    [
        ("r50_deaot", True, "unknown model 'r50_deaot': did you mean r50_deaotl"),
        ("r101_aotl", True, "no weights are published for r101_aotl, so give a checkpoint; did you mean .*r50_aotl"),
        ("r50_deaotl", "PRE_YTB", "r50_deaotl has no published variant 'PRE_YTB': there are PRE, PRE_YTB_DAV"),
    ],
)
def test_unknown_names_are_errors_that_suggest_similar_ones(model: str, variant: bool | str, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        find_weights(model, variant)


# files on the disk


def test_the_bundled_weights_need_no_download() -> None:
    assert find_weights("deaott") == weights.PRETRAINED / "deaott_open.safetensors"
    assert find_weights("deaott", "open").is_file()


def test_files_in_pretrain_models_are_found_first(home: Path, host: WeightsHost) -> None:
    for folder in (home, weights.PRETRAINED):
        folder.mkdir(parents=True)
        (folder / "XMem.pth").write_bytes(CONTENT)
    assert find_weights("xmem") == weights.PRETRAINED / "XMem.pth"
    (weights.PRETRAINED / "XMem.pth").unlink()
    assert find_weights("xmem") == home / "XMem.pth"
    assert not host.requests


@pytest.mark.parametrize(
    ("platform", "variables", "folder"),
    [
        ("linux", {"XDG_CACHE_HOME": "/x"}, "/x/voskit/weights"),
        ("linux", {}, "/home/u/.cache/voskit/weights"),
        ("darwin", {"XDG_CACHE_HOME": "/x"}, "/home/u/Library/Caches/voskit/weights"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/voskit/weights"),
        ("win32", {}, "/home/u/AppData/Local/voskit/weights"),
        ("linux", {"VOSKIT_HOME": "/data/vos", "XDG_CACHE_HOME": "/x"}, "/data/vos/weights"),
    ],
)
def test_downloads_go_to_the_cache_folder_of_the_platform(
    platform: str, variables: dict[str, str], folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("VOSKIT_HOME", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(weights.sys, "platform", platform)
    monkeypatch.setattr(Path, "home", lambda: Path("/home/u"))
    assert weights.weights_folder() == Path(folder)


def test_nothing_is_requested_offline(home: Path, host: WeightsHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOSKIT_OFFLINE", "1")
    with pytest.raises(FileNotFoundError) as error:
        find_weights("r50_deaotl")
    assert f"https://drive.google.com/uc?id={R50_DEAOTL}" in str(error.value)
    assert str(home / "R50_DeAOTL_PRE_YTB_DAV.pth") in str(error.value)
    assert "\n" not in str(error.value)
    assert not host.requests and not home.exists()


def test_an_encoder_without_a_known_url_is_an_error_that_says_where_to_put_it(home: Path) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"convmae_base\.pth .* put it into .*pretrain_models or .*home/weights"
    ):
        find_encoder("convmae_base.pth")
    home.mkdir(parents=True)
    (home / "convmae_base.pth").write_bytes(CONTENT)
    assert find_encoder("convmae_base.pth") == home / "convmae_base.pth"


# downloads that succeed


def test_a_github_release_is_downloaded_once(home: Path, host: WeightsHost) -> None:
    path = find_weights("xmem")
    assert path == home / "XMem.pth" and path.read_bytes() == CONTENT
    assert [r.host for r in host.requests] == ["github.com", "objects.githubusercontent.com"]
    assert find_weights("xmem") == path
    assert len(host.requests) == 2


@pytest.mark.parametrize("confirms", [True, False])
def test_google_drive_with_and_without_a_confirmation_page(home: Path, host: WeightsHost, confirms: bool) -> None:
    host.confirms = confirms
    assert find_weights("r50_deaotl").read_bytes() == CONTENT
    assert files_in(home) == ["R50_DeAOTL_PRE_YTB_DAV.pth", "R50_DeAOTL_PRE_YTB_DAV.pth.sha256"]


def test_an_encoder_is_checked_against_the_digest_in_its_name(home: Path, host: WeightsHost) -> None:
    host.files["/models/resnet50-0676ba61.pth"] = CONTENT
    with pytest.raises(
        ValueError, match=r"sent a different resnet50-0676ba61\.pth \(SHA-256 .*the name carries 0676ba61"
    ):
        find_encoder("resnet50-0676ba61.pth")
    assert files_in(home) == []


def test_an_encoder_with_the_right_digest_is_kept(
    home: Path, host: WeightsHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"resnet50-{hashlib.sha256(CONTENT).hexdigest()[:8]}.pth"
    entry = weights.PublishedWeights(name, url=f"https://download.pytorch.org/models/{name}")
    monkeypatch.setattr(weights, "list_published", lambda: (entry,))
    host.files[f"/models/{name}"] = CONTENT
    assert find_encoder(name).read_bytes() == CONTENT


def test_two_programs_download_a_file_once(home: Path, host: WeightsHost) -> None:
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(find_weights("xmem"))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [home / "XMem.pth"] * 3
    assert len(host.transfers) == 1


# connections that break


def test_a_cut_connection_is_resumed_at_the_last_whole_block(home: Path, host: WeightsHost) -> None:
    host.cuts = [700_000]
    assert find_weights("xmem").read_bytes() == CONTENT
    assert [r.range for r in host.transfers] == [None, "bytes=524288-"]


@pytest.mark.parametrize("model", ["xmem", "r50_deaotl"])
def test_the_next_call_resumes_where_the_last_one_broke_off(
    model: str, home: Path, host: WeightsHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "_RETRIES", 0)
    host.cuts = [700_000]
    with pytest.raises(ConnectionError, match="closed the connection; try again to resume") as error:
        find_weights(model)
    assert "\n" not in str(error.value) and files_in(home) == []
    host.requests.clear()
    assert find_weights(model).read_bytes() == CONTENT
    assert [r.range for r in host.transfers] == [None, "bytes=524288-"]


def test_a_server_that_cannot_resume_starts_over(home: Path, host: WeightsHost) -> None:
    host.cuts, host.resumes = [100_000], False
    assert find_weights("xmem").read_bytes() == CONTENT
    assert host.transfers[-1].range is None


def test_a_file_that_was_replaced_between_two_tries_is_downloaded_from_the_start(
    home: Path, host: WeightsHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "_RETRIES", 0)
    host.cuts = [700_000]
    with pytest.raises(ConnectionError):
        find_weights("xmem")
    host.files[XMEM] = CONTENT[:400_000]  # shorter than the bytes that are here
    with pytest.raises(ValueError, match=r"sent an incomplete XMem\.pth \(400000 bytes\)"):
        find_weights("xmem")
    host.files[XMEM] = CONTENT
    assert find_weights("xmem").read_bytes() == CONTENT


def test_a_stalled_host_is_given_up(home: Path, host: WeightsHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "_TIMEOUT", (1.0, 0.1))
    host.stalls = True
    with pytest.raises(ConnectionError, match=r"github\.com does not respond"):
        find_weights("xmem")
    assert files_in(home) == []


def test_without_network_the_error_says_what_to_download_and_where_to_put_it(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random, "uniform", lambda *_: 0.0)
    server = serve(WeightsHost(), monkeypatch)
    server.shutdown()
    server.server_close()  # its port refuses connections now
    with pytest.raises(ConnectionError, match=r"no connection to drive\.google\.com") as error:
        find_weights("r50_deaotl")
    assert f"download https://drive.google.com/uc?id={R50_DEAOTL} in a browser" in str(error.value)
    assert str(home / "R50_DeAOTL_PRE_YTB_DAV.pth") in str(error.value)
    assert "\n" not in str(error.value)


# answers other than weights


@pytest.mark.parametrize(
    ("model", "answer", "text"),
    [
        ("r50_deaotl", (200, QUOTA_PAGE), "drive.google.com refuses .*Too many users have viewed or downloaded"),
        ("r50_deaotl", (200, LOGIN_PAGE), "drive.google.com refuses .*permission"),
        ("r50_deaotl", (404, "<html>Not Found</html>"), "drive.google.com refuses"),
        ("r50_deaotl", (403, QUOTA_PAGE), "Too many users"),
        ("r50_deaotl", (500, "<html>error</html>"), "drive.google.com refuses"),
        ("xmem", (200, LOGIN_PAGE), "sent a web page instead of XMem.pth: its download quota is used up, or .* login"),
        ("xmem", (404, "<html>Not Found</html>"), "github.com returned 404 Not Found"),
        ("xmem", (403, "<html>rate limit</html>"), "github.com returned 403 Forbidden"),
        ("xmem", (500, "<html>error</html>"), "github.com returned 500 Internal Server Error"),
    ],
)
def test_pages_are_refused_and_not_kept(
    model: str, answer: tuple[int, str], text: str, home: Path, host: WeightsHost
) -> None:
    host.answer = answer
    with pytest.raises(ConnectionError, match=text) as error:
        find_weights(model)
    assert "\n" not in str(error.value) and "in a browser and save it as" in str(error.value)
    assert files_in(home) == []
    host.answer = None
    assert find_weights(model).read_bytes() == CONTENT


def test_endless_confirmation_pages_are_given_up(
    home: Path, host: WeightsHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "_PATIENCE", 0.2)
    host.answer = (200, confirmation_page(R50_DEAOTL))
    with pytest.raises(ConnectionError, match=r"drive\.google\.com keeps asking for confirmation"):
        find_weights("r50_deaotl")
    assert files_in(home) == []


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "43 bytes that are not a checkpoint"),
        (b'{"data":{"error": "denied"}}', "28 bytes that are not a checkpoint"),
        (b"", "0 bytes that are not a checkpoint"),
        (CONTENT[:-1000], "an incomplete XMem.pth"),
    ],
)
def test_files_that_are_not_checkpoints_are_refused_and_not_kept(
    content: bytes, text: str, home: Path, host: WeightsHost
) -> None:
    host.files[XMEM] = content
    with pytest.raises(ValueError, match=text):
        find_weights("xmem")
    assert files_in(home) == []


def test_a_file_that_changed_after_its_download_is_refused(home: Path, host: WeightsHost) -> None:
    path = find_weights("xmem")
    path.write_bytes(checkpoint_bytes(seed=1))
    with pytest.raises(ValueError, match=r"XMem\.pth has changed since its download .*: delete it"):
        find_weights("xmem")


def test_a_file_that_the_host_replaced_is_refused_until_its_record_is_deleted(home: Path, host: WeightsHost) -> None:
    find_weights("xmem").unlink()
    host.files[XMEM] = checkpoint_bytes(seed=1)
    with pytest.raises(ValueError, match=r"sent a different XMem\.pth .*XMem\.pth\.sha256 has"):
        find_weights("xmem")
    (home / "XMem.pth.sha256").unlink()
    assert find_weights("xmem").read_bytes() == checkpoint_bytes(seed=1)


# disks that refuse


def test_a_full_disk_leaves_no_file(
    home: Path, host: WeightsHost, small_disk: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = small_disk(128)
    monkeypatch.setenv("VOSKIT_HOME", str(disk))
    with pytest.raises(OSError, match=r"cannot be stored: No space left .*set VOSKIT_HOME.*XMem\.pth"):
        find_weights("xmem")
    assert files_in(disk / "weights") == []


def test_a_folder_that_cannot_be_created_is_named(home: Path, host: WeightsHost) -> None:
    home.parent.write_text("a file")
    with pytest.raises(OSError, match=r"cannot be stored: .*set VOSKIT_HOME.*home/weights/XMem\.pth"):
        find_weights("xmem")
    assert not host.requests


# models


def test_pretrained_takes_the_bundled_weights() -> None:
    model = build_model("deaott", pretrained=True, device="cpu")
    config = model.config
    assert (config.max_objects, config.min_short_edge, config.long_term_gap) == (5, 480, 3)  # set in the file
    assert config.stray_distance == 0.2
    bundled = build_model("deaott", checkpoint=weights.PRETRAINED / "deaott_open.safetensors", device="cpu")
    assert all(torch.equal(x, y) for x, y in zip(model.parameters(), bundled.parameters(), strict=True))
    assert bundled.config == config


def test_settings_of_the_bundled_weights_are_kept_in_files_and_can_be_changed(tmp_path: Path) -> None:
    save_weights(build_model("deaott", pretrained=True, device="cpu"), tmp_path / "copy.safetensors")
    assert build_model("deaott", checkpoint=tmp_path / "copy.safetensors", device="cpu").config.min_short_edge == 480
    whole = build_model("deaott", pretrained=True, device="cpu", min_short_edge=None, max_objects=10)
    assert (whole.config.min_short_edge, whole.config.max_objects) == (None, 10)


def test_pretrained_downloads_the_named_variant_and_loads_it_strictly(home: Path, host: WeightsHost) -> None:
    published, buffer = build_model("aott", device="cpu"), io.BytesIO()
    torch.save({"state_dict": published.state_dict()}, buffer)
    host.files[AOTT_PRE] = buffer.getvalue()
    model = build_model("aott", pretrained="PRE", device="cpu")
    assert all(torch.equal(x, y) for x, y in zip(model.parameters(), published.parameters(), strict=True))
    host.files[AOTT] = CONTENT  # another network's
    with pytest.raises(ValueError, match=r"AOTT_PRE_YTB_DAV\.pth"):
        build_model("aott", pretrained=True, device="cpu")


def test_pretrained_and_a_checkpoint_are_an_error() -> None:
    with pytest.raises(ValueError, match="pretrained or checkpoint"):
        build_model("deaott", pretrained=True, checkpoint="mine.pth")


def test_a_wrong_field_is_found_before_anything_is_downloaded(home: Path, host: WeightsHost) -> None:
    with pytest.raises(ValueError, match="mem_evry"):
        build_model("xmem", pretrained=True, mem_evry=3)
    assert not host.requests


# training


def train_briefly(folder: Path) -> None:
    """Train AOT-T for one step on four images."""
    static_tree(folder / "data" / "Static")
    fields = {"total_steps": 1, "batch_size": 1, "crop": 33, "clip_length": 2, "workers": 0}
    train("aott", "pre", data=folder / "data", output=folder / "results", device="cpu", stage_fields=fields)


def test_training_downloads_the_encoder_and_refuses_a_wrong_one(home: Path, host: WeightsHost, tmp_path: Path) -> None:
    host.files["/models/mobilenet_v2-b0353104.pth"] = CONTENT
    with pytest.raises(ValueError, match=r"sent a different mobilenet_v2-b0353104\.pth"):
        train_briefly(tmp_path)


def test_training_does_not_start_from_random_weights_because_of_a_failed_download(
    home: Path, host: WeightsHost, tmp_path: Path
) -> None:
    host.answer = (503, "<html>busy</html>")
    with pytest.raises(ConnectionError, match=r"download\.pytorch\.org returned 503"):
        train_briefly(tmp_path)


def test_offline_training_starts_encoders_without_a_file_from_random_weights(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("VOSKIT_OFFLINE", "1")
    train_briefly(tmp_path)
    assert "mobilenet_v2-b0353104.pth does not exist: this encoder starts from random weights" in caplog.text
