"""A pytest plugin: the outcome of each test, told for `cargo xtask clients`."""

import re

import psycopg
import pytest

from telling import tell


def _name(report):
    path, _, name = report.nodeid.partition("::")
    # The suite adds the dialect, the driver and the server's version to its classes.
    name = re.sub(r"_postgresql\+\w+?(?=::|$)", "", name)
    return name.replace(": ", ":_").replace(" ", "_") or path


def pytest_collectreport(report):
    if report.failed:
        tell("failed", _name(report), f"collecting: {report.longrepr}")


def pytest_runtest_logreport(report):
    if report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        # The suite says which test it is of, and then why.
        tell("skipped", _name(report), str(reason).removeprefix("Skipped: ").rpartition("' : ")[2])
    elif report.failed:
        crash = getattr(report.longrepr, "reprcrash", None)
        message = crash.message if crash else report.longrepr
        when = "" if report.when == "call" else f"{report.when} of "
        tell("failed", when.replace(" ", "-") + _name(report), message)
    elif report.when == "call":
        tell("passed", _name(report))


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session):
    """The suite wants to create citext and hstore before its first test; the server has no such extensions, and
    the tests of those types have requirements of their own."""
    from sqlalchemy.dialects.postgresql import provision

    provision._extensions = []
    # It looks for forgotten transactions, and only warns.
    with psycopg.connect("", autocommit=True) as connection:
        if connection.execute("SELECT to_regclass('pg_stat_activity')").fetchone()[0] is None:
            provision.prepare_for_drop_tables.fns["postgresql"] = lambda config, connection: None
    # One materialized view among the fixtures would take all tests of reflection with it.
    from sqlalchemy.testing import exclusions
    from test.requirements import DefaultRequirements

    DefaultRequirements.materialized_views = property(lambda self: exclusions.closed())
