"""State of each video of a batch, on the disk or in object storage, and the summary."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from voskit.evaluators.batch.jobs import BatchJob
from voskit.evaluators.batch.storage import OutputStore, fingerprint
from voskit.evaluators.clips.report import REPORT

logger = logging.getLogger(__name__)

State = Literal["open", "running", "done", "failed"]
SUMMARY = "summary"
_SUMMARY_PAUSE = 20.0
"""Minimum pause between two summaries of a running batch, as a multiple of the time that writing one takes."""
_COLUMNS = ("name", "state", "frames", "objects", "seconds", "error", "video", "mask", "text")


@dataclass
class JobRecord:
    """State of one video."""

    state: State = "open"
    """Still ``running`` if its worker was killed."""
    frames: int = 0
    objects: int = 0
    seconds: float = 0.0
    error: str = ""
    """Reason of a failure, one line."""
    job: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    """Settings of the results, as JSON types."""
    started: float = 0.0
    """Time at which a worker last began a running video, in seconds since 1970."""
    inputs: str = ""
    """Fingerprint of the video and the masks, see :func:`~voskit.evaluators.batch.storage.fingerprint`."""
    origin: str = ""
    """Checksum of what the masks of a finished video depend on, by its report; empty in records of earlier versions."""

    def to_row(self) -> dict[str, Any]:
        """Return the fields for a summary; numbers are None unless the video is done."""
        row = dataclasses.asdict(self)
        return row if self.state == "done" else {**row, **dict.fromkeys(("frames", "objects", "seconds"))}


class BatchResults:
    """Records of the videos of a batch, in ``.batch/<name>.json`` of its output.

    Args:
        store: the output.
        settings: everything that results depend on, except the videos, as JSON types.
    """

    def __init__(self, store: OutputStore, settings: Mapping[str, Any]) -> None:
        self.store = store
        self._settings = json.loads(json.dumps(settings))
        self._next_summary = 0.0

    def record(self, job: BatchJob) -> JobRecord:
        """Return the record of a video; a new one if there is none, or if the results of a finished video are gone.

        Results that ``voskit demo`` has replaced count as gone.
        """
        record = self._last_record(job)
        if record.state == "done" and (self._are_replaced(job, record) or not self._has_results(job, record.frames)):
            return JobRecord(inputs=record.inputs)
        return record

    def _last_record(self, job: BatchJob) -> JobRecord:
        """Return the record of a video as it was written."""
        text = self.store.read_text(f".batch/{job.name}.json")
        try:
            return JobRecord(**json.loads(text)) if text else JobRecord()
        except (ValueError, TypeError):  # of another version
            return JobRecord()

    def _has_results(self, job: BatchJob, frames: int) -> bool:
        """Return True if a finished video still has its report and, on the disk, all of its masks."""
        if self.store.read_text(f"{job.name}/{REPORT}") is None:
            return False
        return self.store.remote or sum(1 for _ in (self.store.local / job.name / "masks").glob("*.png")) >= frames

    def _are_replaced(self, job: BatchJob, record: JobRecord) -> bool:
        """Return True if a finished video has a report of other settings or masks than this batch wrote."""
        return record.origin != "" and self._origin(job) not in ("", record.origin)

    def _origin(self, job: BatchJob) -> str:
        """Return a checksum of what a video's masks depend on, by its report; empty: it has none."""
        text = self.store.read_text(f"{job.name}/{REPORT}")
        if text is None:
            return ""
        report = json.loads(text)
        parts = [report.get(name) for name in ("settings", "masks", "frames")]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]

    def save(self, job: BatchJob, state: State, **values: Any) -> JobRecord:
        """Write the record of a video."""
        origin = self._origin(job) if state == "done" else ""
        record = JobRecord(state, job=job.to_dict(), settings=self._settings, origin=origin, **values)
        self.store.write_text(f".batch/{job.name}.json", json.dumps(dataclasses.asdict(record), indent=2) + "\n")
        return record

    def check(self, jobs: Sequence[BatchJob]) -> None:
        """Check that existing results are of these videos and settings; reopen videos whose files have changed.

        Raises:
            ValueError: they aren't; the message says what differs and what to do.
        """
        for job in jobs:
            record = self._last_record(job)
            if record.state == "done" and self._are_replaced(job, record):
                logger.warning("%s has results of another run, such as voskit demo: it is segmented again", job.name)
            record = self.record(job)
            if record.state not in ("done", "running"):
                continue
            place = f"{self.store.output}/{job.name}"
            now = job.to_dict()
            if changed := [name for name in now if record.job.get(name) != now[name]]:
                was, is_ = record.job.get(changed[0]), now[changed[0]]
                raise ValueError(
                    f"{place} has results of another {changed[0]} ({was} there, {is_} now): change its name in the "
                    "list, or start over with --no-resume"
                )
            there = record.settings
            if changed := [key for key in {**there, **self._settings} if there.get(key) != self._settings.get(key)]:
                was, is_ = there.get(changed[0]), self._settings.get(changed[0])
                raise ValueError(
                    f"{place} has results of other flags (--{changed[0]}: {was} there, {is_} now): repeat those flags, "
                    "give another --output_path, or start over with --no-resume"
                )
            if record.state == "running" or not record.inputs:
                continue
            if fingerprint(job.video, job.mask) not in ("", record.inputs):
                logger.warning("%s: the video or its masks have changed since: it is segmented again", job.name)
                self.save(job, "open", inputs=record.inputs)

    def reopen(self, jobs: Sequence[BatchJob], *, all_of_them: bool) -> None:
        """Mark failed videos, or all of them, as not done."""
        for job in jobs:
            record = self.record(job)
            if all_of_them or record.state == "failed":
                self.save(job, "open", inputs=record.inputs)

    def update_summary(self, jobs: Sequence[BatchJob]) -> None:
        """Write the summary during a batch, but only now and then, since a long one takes time.

        A failure is only logged, for example if the file is open in a spreadsheet on Windows.
        """
        begin = time.monotonic()
        if begin < self._next_summary:
            return
        try:
            self.summarize(jobs)
        except Exception as error:  # each file system of fsspec has its own
            logger.warning("the summary can't be written now: %s", error)
        end = time.monotonic()
        self._next_summary = end + _SUMMARY_PAUSE * (end - begin)

    def summarize(self, jobs: Sequence[BatchJob]) -> dict[str, JobRecord]:
        """Write ``summary.json`` and ``summary.csv``, and return the record of each video by its name."""
        records = {job.name: self.record(job) for job in jobs}
        states = [record.state for record in records.values()]
        rows = [
            {"name": job.name, **records[job.name].to_row(), **job.to_dict(), "text": "|".join(job.text)}
            for job in jobs
        ]
        counts = {state: states.count(state) for state in ("done", "failed", "running", "open")}
        videos = [{key: row[key] for key in _COLUMNS} for row in rows]
        self.store.write_text(f"{SUMMARY}.json", json.dumps({**counts, "videos": videos}, indent=2) + "\n")
        table = io.StringIO()
        writer = csv.DictWriter(table, _COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(videos)
        self.store.write_text(f"{SUMMARY}.csv", table.getvalue())
        return records
