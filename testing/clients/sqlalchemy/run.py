"""SQLAlchemy's dialect compliance suite, against the server, with the dialect `postgresql+psycopg`.

The suite is in SQLAlchemy's package (`sqlalchemy.testing.suite`); what the dialect is held to, beyond what any
dialect is, is in its source distribution (`test/requirements.py`), which is fetched from PyPI below
`target/clients`. What our server cannot do is not excluded there, but fails, and stands in expected.txt.
"""

import os
import pathlib
import subprocess
import sys
import tarfile

import psycopg
import sqlalchemy


def source(work):
    """The source distribution of the installed version, unpacked."""
    directory = work / f"sqlalchemy-{sqlalchemy.__version__}"
    if not directory.is_dir():
        packed = work / "packed"
        fetch = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"]
        fetch += ["--dest", str(packed), f"SQLAlchemy=={sqlalchemy.__version__}"]
        subprocess.run(fetch, check=True)
        with tarfile.open(next(packed.glob("*.tar.gz"))) as archive:
            archive.extractall(work, filter="data")
    return directory


def main():
    print(f"version {sqlalchemy.__version__}", flush=True)
    directory = source(pathlib.Path(os.environ["CLIENT_WORK"]))
    here = pathlib.Path(__file__).resolve().parent
    url = "postgresql+psycopg://{PGUSER}@{PGHOST}:{PGPORT}/{PGDATABASE}".format(**os.environ)
    with psycopg.connect("", autocommit=True) as connection:
        for schema in ("test_schema", "test_schema_2"):
            connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    tests = sys.argv[1:] or ["test/dialect/test_suite.py"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "telling_plugin", "-p", "no:cacheprovider", "-p", "no:logging"]
    command += ["--tb=short", "--maxfail=100000", "--dburi", url, *tests]
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(here), os.environ["PYTHONPATH"]]))
    sys.exit(subprocess.run(command, cwd=directory, env=environment).returncode)


main()
