# Messages, and the progress of long steps; sourced, never run.
# shellcheck shell=bash
# Everything here goes to standard error: standard output belongs to results.

# A terminal gets one line that is rewritten every second, a log file a line now and then.
if [ -t 2 ]; then
  tick=1 clear=$'\033[K' line_end=$'\r'
else
  tick=15 clear="" line_end=$'\n'
fi

say() { printf '%s\n' "$*" >&2; }

die() {
  say "error: $*"
  exit 1
}

# Prints a number of seconds as minutes:seconds.
elapsed() { printf '%d:%02d' $(($1 / 60)) $(($1 % 60)); }

# Runs COMMAND and shows which step it is at, since when, and a sign of life in between. COMMAND
# prints one line on its standard output when a step begins; its standard error goes to LOG. When it
# fails, the end of the log is shown and this shell exits. A function step_detail, where the caller
# defines one, adds what it knows about the step that runs ("312 of 623 files").
#
#   run_steps LOG COMMAND...
run_steps() {
  local log=$1 began=$SECONDS step="" line status pipe job steps
  shift
  # The job gets a process group of its own, so that whatever ends this shell ends all of the job.
  pipe=$(mktemp -u)
  mkfifo "$pipe"
  set -m
  "$@" >"$pipe" 2>>"$log" </dev/null &
  job=$!
  set +m
  # shellcheck disable=SC2064  # the job's number is wanted as it is now
  trap "kill -TERM -- -$job 2>/dev/null || true" EXIT
  exec {steps}<"$pipe"
  rm "$pipe"

  while :; do
    status=0
    read -r -t "$tick" -u "$steps" line || status=$?
    if [ "$status" -eq 0 ]; then
      step_done "$step" "$began"
      step=$line began=$SECONDS
      say "  $step"
    elif [ "$status" -gt 128 ]; then # the wait timed out: the step goes on
      printf '    %s  %s%s' "$(elapsed $((SECONDS - began)))" "$(step_detail "$step" "$log")" "$clear$line_end" >&2
    else
      break
    fi
  done

  status=0
  wait "$job" || status=$?
  trap - EXIT
  exec {steps}<&-
  if [ "$status" -ne 0 ]; then
    say "error: \"${step:-$1}\" failed after $(elapsed $((SECONDS - began))) (status $status)"
    show_failure "$log"
    exit 1
  fi
  step_done "$step" "$began"
}

step_done() {
  if [ -n "$1" ]; then say "    $(elapsed $((SECONDS - $2)))  done$clear"; fi
}

# Parallel make prints on after the first error, so that one is looked for and shown as well.
show_failure() {
  local log=$1
  {
    grep -n -m 1 -E '(^|[: ])(fatal )?error:|undefined reference' "$log" | sed 's/:/: /; s/^/first error, at line /' || true
    echo "the last lines of the log:"
    tail -n 25 "$log" | sed 's/^/  | /'
  } | cut -c 1-300 >&2
  say "the whole log: $log"
}

step_detail() { :; }
