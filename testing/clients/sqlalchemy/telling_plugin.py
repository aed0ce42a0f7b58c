"""A pytest plugin: the outcome of each test, told for `cargo xtask clients`."""

from telling import tell


def _name(report):
    path, _, name = report.nodeid.partition("::")
    return name.replace(": ", ":_").replace(" ", "_") or path


def pytest_collectreport(report):
    if report.failed:
        tell("failed", _name(report), f"collecting: {report.longrepr}")


def pytest_runtest_logreport(report):
    if report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        tell("skipped", _name(report), str(reason).removeprefix("Skipped: "))
    elif report.failed:
        crash = getattr(report.longrepr, "reprcrash", None)
        message = crash.message if crash else report.longrepr
        when = "" if report.when == "call" else f"{report.when} of "
        tell("failed", when.replace(" ", "-") + _name(report), message)
    elif report.when == "call":
        tell("passed", _name(report))
