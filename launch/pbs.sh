#!/bin/bash
# A training run as a PBS job (OpenPBS, PBS Professional): copy it, set what the cluster wants, submit it. metaloop is found
# in the directory that METALOOP_HOME names or from which the job is submitted, or else on PATH (metaloop-run). PBS gives a
# script no arguments: they are in METALOOP_ARGS.
#
#   qsub -l select=4:ncpus=8:mpiprocs=8 -v METALOOP_ARGS="train cluster.conf --run runs/mine" launch/pbs.sh
#
# Ninety seconds before its walltime is over the run is saved and the job goes back into the queue (qrerun; where users
# may not do that, a job that follows it is submitted). `qdel` saves and ends. The exit status is the run's.
#PBS -N metaloop
#PBS -r y
#PBS -j oe
set -euo pipefail

MARGIN=90 # seconds

cd "$PBS_O_WORKDIR"
launch=${METALOOP_HOME:-$PBS_O_WORKDIR}/launch/run
[ -x "$launch" ] || [ -n "${METALOOP_HOME:-}" ] || launch=$(command -v metaloop-run || echo "$launch")
if [ ! -x "$launch" ]; then
    echo "pbs.sh: '$launch' is not there, nor metaloop-run on PATH: submit from metaloop's directory, or set METALOOP_HOME" >&2
    exit 66
fi
# The script that follows this job, if it may not be requeued: beside the launcher, or where it is installed.
script=${launch%/run}/pbs.sh
[ -f "$script" ] || script=$(dirname "$(readlink -f "$launch")")/../../../share/metaloop/pbs.sh
if [ -z "${METALOOP_ARGS:-}" ]; then
    echo "pbs.sh: nothing to run: qsub -v METALOOP_ARGS=\"train cluster.conf\" launch/pbs.sh" >&2
    exit 64
fi
args=()
eval "args=($METALOOP_ARGS)" # quoted as in a shell

# Seconds from "HH:MM:SS".
seconds() {
    awk -F: '{ s = 0; for (i = 1; i <= NF; i++) s = s * 60 + $i; print s }' <<<"$1"
}

# A job that PBS has started before goes on; the run that is there is not erased.
run_count=$(qstat -f "$PBS_JOBID" | sed -n 's/^ *run_count = //p')
if [ "${run_count:-1}" -gt 1 ]; then
    export METALOOP_AGAIN=1
fi

export METALOOP_JOB=${METALOOP_JOB:-$PBS_JOBID} # the first of those that follow each other

walltime=$(qstat -f "$PBS_JOBID" | sed -n 's/^ *Resource_List.walltime = //p')
run=0 timer=0 cancelled=false caught=false
# shellcheck disable=SC2317 # called by traps
forward() { # SIGNAL
    caught=true
    [ "$1" = USR1 ] || cancelled=true
    [ "$run" = 0 ] || kill -USR1 "$run" 2>/dev/null || true
}
trap 'forward USR1' USR1
trap 'forward TERM' TERM

if [ -n "$walltime" ]; then # the end in seconds since the epoch, under the name that metaloop reads
    left=$(seconds "$walltime")
    export SLURM_JOB_END_TIME=$(($(date +%s) + left))
    if [ "$left" -gt "$MARGIN" ]; then
        (sleep $((left - MARGIN)) && kill -USR1 $$) &
        timer=$!
    fi
fi

"$launch" "${args[@]}" &
run=$!
caught=true
while $caught; do # a signal ends wait, not the run
    caught=false status=0
    wait "$run" || status=$?
done
[ "$timer" = 0 ] || kill "$timer" 2>/dev/null || true

if [ "$status" = 75 ] && ! $cancelled; then
    echo "pbs.sh: saved; job $PBS_JOBID goes back into the queue" >&2
    if ! qrerun "$PBS_JOBID"; then
        qsub -W "depend=afterany:$PBS_JOBID" -v "METALOOP_ARGS=$METALOOP_ARGS,METALOOP_HOME=${METALOOP_HOME:-},METALOOP_AGAIN=1,METALOOP_JOB=$METALOOP_JOB" "$script"
    fi
fi
exit "$status"
