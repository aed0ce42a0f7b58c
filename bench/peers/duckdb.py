"""DuckDB as the benchmarks drive it: a JSON request per line in, a JSON answer per line out.

{"sql": "..."} runs statements one after another and answers with the seconds that they took together,
results fetched, and the rows of the last one that has any, each value as text. An error answers
{"error": "..."}. The arguments are the database's file and the number of threads.
"""

import json
import sys
import time

import duckdb


def text(value):
    """A value as PostgreSQL writes it."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "t" if value else "f"
    return str(value)


def main():
    connection = duckdb.connect(sys.argv[1], config={"threads": int(sys.argv[2])})
    # Its bar would go where the answers go.
    connection.execute("SET enable_progress_bar = false")
    for line in sys.stdin:
        try:
            rows = []
            start = time.perf_counter()
            for statement in connection.extract_statements(json.loads(line)["sql"]):
                result = connection.execute(statement)
                if result.description and statement.type == duckdb.StatementType.SELECT:
                    rows = result.fetchall()
            answer = {"seconds": time.perf_counter() - start}
            answer["rows"] = [[text(value) for value in row] for row in rows]
        except duckdb.Error as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)


main()
