"""What `heads train --dry-run` prints."""

from dataclasses import asdict

from rich.table import Table

from heads.workflows.job import TrainingJob
from heads.workflows.training.estimate import estimate_job
from store.console import print_json, stderr_console, stdout_console
from store.ids import counted, name_a_few


def show_estimate(job: TrainingJob, *, as_json: bool) -> None:
    """Print how long each head of a job would take; nothing is trained to its end or written."""
    for sentence in job.notes:
        stderr_console().print(sentence, highlight=False, soft_wrap=True)
    found = estimate_job(job)
    if as_json:
        print_json([asdict(each) for each in found])
        return
    table = Table(box=None, pad_edge=False)
    for column in ("head", "members", "clips/s", "seconds", "cache MB"):
        table.add_column(column, justify="left" if column == "head" else "right")
    for each in found:
        row = (str(each.members), f"{each.clips_per_s:.0f}", f"{each.seconds:.0f}", f"{each.cache_bytes / 1e6:.0f}")
        table.add_row(each.head, *row)
    console = stdout_console()
    console.print(table)
    from_disk = [each.head for each in found if each.from_disk]
    if from_disk:
        console.print(
            f"memory cannot hold the frames of {name_a_few(from_disk)}: every epoch reads them from the disk again",
            soft_wrap=True,
        )
    together = sum(each.seconds for each in found)
    console.print(
        f"{counted(len(job.labels.ids), 'labelled clip')}, {len(job.unlabelled.ids)} without labels; "
        f"together {together:.0f} s"
    )
