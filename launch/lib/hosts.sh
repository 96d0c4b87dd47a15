# The hosts of a run: what names them, how they are reached, which still answer. Sourced by launch/run.
# shellcheck shell=bash disable=SC2034,SC2154 # variables of launch/run

add_host() { # HOST SLOTS (0: its cores)
    hosts+=("$1") slots+=("$2")
}

read_host_list() {
    local entries entry
    IFS=, read -ra entries <<<"$1"
    for entry in "${entries[@]}"; do
        [[ $entry =~ ^([^:[:space:]]+)(:([0-9]+))?$ ]] || misuse "'$entry' of '--host' is not HOST or HOST:SLOTS"
        add_host "${BASH_REMATCH[1]}" "${BASH_REMATCH[3]:-1}"
    done
    [ ${#hosts[@]} -gt 0 ] || misuse "'--host' names no host"
}

read_hostfile() {
    local line words
    [ -r "$1" ] || { say "cannot read the hostfile '$1'" && exit 66; }
    while IFS= read -r line || [ -n "$line" ]; do
        read -ra words <<<"${line%%#*}"
        [ ${#words[@]} -gt 0 ] || continue
        if [[ " ${words[*]} " =~ \ slots=([0-9]+)\  ]]; then
            add_host "${words[0]}" "${BASH_REMATCH[1]}"
        else
            add_host "${words[0]}" 0
        fi
    done <"$1"
    [ ${#hosts[@]} -gt 0 ] || { say "the hostfile '$1' names no host" && exit 66; }
}

# The rsh agent's end is the loss of its host, which must not end mpirun once the run is under way; before that its
# exit status tells mpirun that a host cannot be reached. mpirun itself starts every host's daemon: the agent is here.
make_agent() {
    local agent=${OMPI_MCA_plm_rsh_agent:-} word
    if [ -z "$agent" ]; then
        agent=ssh
    elif [[ $agent == *:* ]]; then # a list: the first that is there
        IFS=: read -ra word <<<"$agent"
        for agent in "${word[@]}"; do
            command -v "${agent%% *}" >/dev/null && break
        done
    fi
    cat >"$own/agent" <<END
#!/bin/bash
$agent "\$@"
code=\$?
[ ! -e "\$METALOOP_STATUS.rank0" ] || exit 0
exit \$code
END
    chmod +x "$own/agent"
    export OMPI_MCA_plm_rsh_agent=$own/agent
    export OMPI_MCA_plm_rsh_no_tree_spawn=${OMPI_MCA_plm_rsh_no_tree_spawn:-1}
}

# HOST NUMBER: leaves its cores in a file, where it answers; clears what the lost attempt left there.
probe() {
    METALOOP_STATUS='' timeout -k 2 "$PROBE" mpirun --host "$1" -n 1 sh -c "rm -f $(segments); nproc" \
        >"$own/probe.$2" 2>"$own/probe.$2.err" </dev/null || rm -f "$own/probe.$2"
}

# Leaves out the hosts that no longer answer; fewer ranks where fewer slots are left.
choose_hosts() {
    local i left=() left_slots=() total=0 n pids=()
    [ ${#hosts[@]} -gt 0 ] || return 0
    for i in "${!hosts[@]}"; do
        probe "${hosts[i]}" "$i" &
        pids+=($!)
    done
    wait "${pids[@]}" || true
    for i in "${!hosts[@]}"; do
        if [ ! -s "$own/probe.$i" ]; then
            say "host '${hosts[i]}' does not answer and is left out"
            continue
        fi
        n=${slots[i]}
        [ "$n" -gt 0 ] || n=$(<"$own/probe.$i")
        left+=("${hosts[i]}") left_slots+=("$n") total=$((total + n))
    done
    [ ${#left[@]} -gt 0 ] || { say "no host answers any more" && return 1; }
    hosts=("${left[@]}") slots=("${left_slots[@]}") hostfile=''
    if [ -z "$ranks" ] || [ "$ranks" -gt "$total" ]; then
        ranks=$total
    fi
}
