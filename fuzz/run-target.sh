#!/usr/bin/env bash
# Runs one fuzz target that `./dev fuzz` has built: run-target.sh TARGET SECONDS. Says one line, and the
# end of the log where something was found.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$1 seconds=$2

program=$(echo fuzz/target/*/release/"$target")
grown=.prism/fuzz/$target log=.prism/fuzz/$target.log
mkdir -p "$grown" "fuzz/artifacts/$target"

# Folders that are only read.
kept=()
for folder in "fuzz/corpus/$target" ".prism/fuzz/seeds/$target"; do
    [ ! -d "$folder" ] || kept+=("$folder")
done
dictionary=
case $target in
    archive) kept+=(tests/hostile/archives) dictionary=archive ;;
    python_facts) kept+=(tests/bundles plugins/review/tests/honest) dictionary=python_facts ;;
    manifest) dictionary=manifest ;;
    frames | http_bodies | conversions) dictionary=json ;;
esac

# No input is large, so that five seconds for one are a fault: time must stay linear.
options=(-max_total_time="$seconds" -timeout=5 -rss_limit_mb=2048 -max_len=16384 -print_final_stats=1
    -artifact_prefix="fuzz/artifacts/$target/")
[ -z "$dictionary" ] || options+=(-dict="fuzz/dictionaries/$dictionary.dict")
if "$program" "${options[@]}" "$grown" "${kept[@]}" >"$log" 2>&1; then
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    coverage=$(grep -o 'cov: [0-9]*' "$log" | tail -1)
    echo "$target: $runs inputs, ${coverage:-}, nothing found"
else
    echo "$target: FOUND something, see fuzz/artifacts/$target:"
    grep -v '^#' "$log" | tail -40
    exit 1
fi
