#!/usr/bin/env bash
# psql: its own commands, variables, scripts, formats and exit codes.
#
# Each script of cases/ runs in their order, and prints letter by letter what its .out says, which is what psql 15
# prints on PostgreSQL 15. `RECORD=1 bash cases.sh` writes the .out files, to be run against PostgreSQL alone.

set -u
cd "$(dirname "$0")" || exit 1
work=${CLIENT_WORK:-/tmp}/psql-files
rm -rf "$work"
mkdir -p "$work"
export PSQLRC=/dev/null PAGER=cat LC_ALL=C.UTF-8 file="$work/rows.csv"
printf '1,one\n2,"two, with comma"\n3,\n' >"$file"

version=$(psql --version | sed 's/[^0-9]*\([0-9.]*\).*/\1/')
echo "version $version"
case $version in
15.*) ;;
*)
    echo "absent the outputs are those of psql 15, and this is $version"
    exit 0
    ;;
esac

for script in cases/*.sql; do
    name=$(basename "$script" .sql)
    mapfile -t options < <(sed -n '1s/^-- options: //p' "$script" | tr ' ' '\n' | sed "s#FILE#$file#")
    output=$work/$name.out
    timeout 60 psql -X -q "${options[@]}" -f "$script" >"$output" 2>&1
    echo "status $?" >>"$output"
    if [ -n "${RECORD:-}" ]; then
        cp "$output" "cases/$name.out"
    elif difference=$(diff "cases/$name.out" "$output"); then
        echo "passed $name"
    else
        echo "failed $name: $(tr '\n' ' ' <<<"$difference" | tr -s ' ' | cut -c1-400)"
        printf -- '--- %s\n%s\n' "$name" "$difference" >&2
    fi
done
