# What a run is: its id, and the configuration that it was started with. Sourced by launch/run.
# shellcheck shell=bash disable=SC2034,SC2154 # variables of launch/run

# Of a batch job its record, which the job finds when it is started again: the configuration, with the run's id before it.
# Nothing outside a job.
find_record() {
    local job=${METALOOP_JOB:-${SLURM_JOB_ID:-${PBS_JOBID:-}}}
    [ -n "$job" ] && [ "$verb" = train ] && command -v sha256sum >/dev/null || return 0
    job_key=$(printf '%s\0' "${SLURM_CLUSTER_NAME:-}" "$job" "$PWD" "${args[@]}" | sha256sum)
    job_key=${job_key:0:16}
    record=$PWD/runs/.jobs/$job_key.conf
}

is_again() { # a batch job that was started again
    [ "${METALOOP_AGAIN:-${SLURM_RESTART_COUNT:-0}}" -gt 0 ]
}

draw_id() {
    od -An -N8 -tx1 /dev/urandom | tr -d ' \n'
}

# Sets METALOOP_RUN_ID, with which every attempt knows its own run. The first run of a job is called after it, so that the
# job finds it again even without a record.
take_id() {
    local known=''
    [ -z "$record" ] || known=$(sed -n '1s/^# run //p' "$record" 2>/dev/null) || true
    if [ -n "${METALOOP_RUN_ID:-}" ]; then
        return
    elif [ -z "$job_key" ]; then
        METALOOP_RUN_ID=$(draw_id)
    elif is_again; then
        METALOOP_RUN_ID=${known:-$job_key}
    elif [ -e "$record" ]; then # the same once more in one job: another run
        METALOOP_RUN_ID=$(draw_id)
    else
        METALOOP_RUN_ID=$job_key
    fi
    export METALOOP_RUN_ID
}

keep_record() {
    is_again && [ -s "$record" ] && return
    {
        mkdir -p "${record%/*}" && printf '# run %s\n%s\n' "$METALOOP_RUN_ID" "$effective" >"$record.$$" &&
            mv "$record.$$" "$record"
    } 2>/dev/null || say "cannot keep '$record': if this job is started again, it reads '$conf' as it is then"
}

# The run is over: a job that is started again has nothing to go on with.
drop_record() {
    [ -z "$record" ] || rm -f "$record"
}

# The configuration as a file that rank 0 can read: what every attempt is started with.
keep_configuration() {
    [ -n "$effective" ] || return 0
    [ -z "$record" ] || keep_record
    if ! printf '%s\n' "$effective" >"$work/configuration.conf"; then
        say "cannot write '$work/configuration.conf'"
        exit 74
    fi
    args=("$verb" "$work/configuration.conf" ${rest[@]+"${rest[@]}"})
}

find_run_directory() {
    [ "$verb" = train ] && [ -z "$run_directory" ] || return 0
    run_directory=$(key_of run directory)
}

has_option() { # --WORD of the verb
    [[ " ${rest[*]-} " == *" $1 "* ]]
}

# The id of the run that the directory holds.
id_there() {
    sed -n 's/^ *"run_id": "\([0-9a-f]\{16\}\)",*$/\1/p' "$run_directory/manifest.json" 2>/dev/null || true
}

# A job that is to erase the directory may find another run there, begun while it was waiting.
refuse_if_taken() {
    is_again && [ -n "$record" ] && has_option --overwrite || return 0
    find_run_directory
    [ "$(id_there)" != "$METALOOP_RUN_ID" ] && [ "$run_directory/manifest.json" -nt "$record" ] || return 0
    say "'$run_directory' holds run $(id_there), begun after this job's own: it is not erased; --run DIR puts this run elsewhere"
    exit 73
}

# The newest checkpoint of this run; with --resume that is the run which is there.
newest_checkpoint() {
    find_run_directory
    local found=("$run_directory"/checkpoint-*.safetensors)
    [ -n "$run_directory" ] && [ -e "${found[-1]}" ] || return 0
    has_option --resume || [ "$(id_there)" = "$METALOOP_RUN_ID" ] || return 0
    echo "${found[-1]}"
}
