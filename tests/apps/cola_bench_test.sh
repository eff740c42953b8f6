#!/usr/bin/env bash
# cola_bench from the outside: its commands, and options that would have no effect.
#   cola_bench_test.sh BIN_DIR
# shellcheck source=tests/apps/checks.sh
. "$(dirname "$0")/checks.sh" "$1" cola_bench

tiny_run run >tiny.yaml

expect 0 --help
for command in train kernels memory startup checkpoint; do says "$command"; done
refuse 'usage: cola_bench train'
refuse 'usage: cola_bench train' sing
refuse '--config FILE is missing' train
refuse 'at least 1' train --config tiny.yaml --steps 0
for words in "kernels --compare" "kernels --steps 3" "startup --rounds 2" "startup --compare" "checkpoint --compare" \
  "checkpoint --steps 3" "train --rounds 2"; do
  read -r command option _ <<<"$words"
  # shellcheck disable=SC2086
  refuse "$option has no effect on cola_bench $command" $words --config tiny.yaml
done
refuse 'model.projection is full already' train --config tiny.yaml --compare --set model.projection=full

expect 0 train --config tiny.yaml --steps 1 --compare
says '^CoLA '
says '^full-rank '
says '^CoLA trains [0-9.]+ times the tokens a second of full-rank$'
expect 0 kernels --config tiny.yaml

finish
