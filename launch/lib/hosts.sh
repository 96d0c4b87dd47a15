# The hosts of a run: what names them, how they are reached, which of them answer. Sourced by launch/run.
# shellcheck shell=bash disable=SC2034,SC2154 # variables of launch/run

# A host that is named twice has the slots of both; without a number each is one slot, but alone its cores, as mpirun has it.
add_host() { # HOST SLOTS (0: no number) LINE
    local i
    for i in "${!hosts[@]}"; do
        [ "${hosts[i]}" = "$1" ] || continue
        slots[i]=$(((slots[i] > 0 ? slots[i] : 1) + ($2 > 0 ? $2 : 1)))
        host_lines[i]="$1 slots=${slots[i]}"
        return
    done
    hosts+=("$1") slots+=("$2") host_lines+=("$3")
}

read_host_list() {
    local entries entry
    hosts=() slots=() host_lines=()
    IFS=, read -ra entries <<<"$1"
    for entry in "${entries[@]}"; do
        [[ $entry =~ ^([^:[:space:]]+)(:([0-9]{1,6}))?$ ]] || misuse "'$entry' of '--host' is not HOST or HOST:SLOTS"
        [ "${BASH_REMATCH[3]:-1}" -gt 0 ] || misuse "'$entry' of '--host' has no slot: leave it out"
        add_host "${BASH_REMATCH[1]}" "$((10#${BASH_REMATCH[3]:-1}))" ''
    done
    [ ${#hosts[@]} -gt 0 ] || misuse "'--host' lists no host"
}

wrong_hostfile() { # FILE LINE TEXT
    say "$1:$2: $3"
    exit 65
}

read_hostfile() {
    local line word rest n=0 count
    [ -r "$1" ] && [ ! -d "$1" ] || { say "cannot read the hostfile '$1'" && exit 66; }
    while IFS= read -r line || [ -n "$line" ]; do
        n=$((n + 1)) line=${line%%#*} line=${line//$'\r'/}
        read -r word rest <<<"$line"
        [ -n "$word" ] || continue
        count=0
        if [[ " $rest" =~ [[:space:]]slots[[:space:]]*=[[:space:]]*([^[:space:]]*) ]]; then
            count=${BASH_REMATCH[1]}
            [[ $count =~ ^[0-9]{1,6}$ ]] || wrong_hostfile "$1" "$n" "'slots=$count' of host '$word' is no number"
            count=$((10#$count))
            [ "$count" -gt 0 ] || wrong_hostfile "$1" "$n" "host '$word' has no slot: leave the line out"
        fi
        add_host "$word" "$count" "$line"
    done <"$1"
    [ ${#hosts[@]} -gt 0 ] || { say "the hostfile '$1' lists no host" && exit 66; }
}

# What the agent is called: OMPI_MCA_plm_rsh_agent may be a list, of which the first that is there counts.
find_agent() {
    local word
    agent=${OMPI_MCA_plm_rsh_agent:-ssh:rsh}
    IFS=: read -ra word <<<"$agent"
    for agent in "${word[@]}"; do
        ! command -v "${agent%% *}" >/dev/null || return 0
    done
    agent=''
}

# The rsh agent's end is the loss of its host, which must not end mpirun once the run is under way; before that its
# exit status tells mpirun that a host cannot be reached. mpirun itself starts every host's daemon: the agent is here.
make_agent() {
    find_agent
    if [ -z "$agent" ] && ! are_hosts_elsewhere; then
        agent='sh' # mpirun wants to find one even if it reaches nobody
    elif [ -z "$agent" ]; then
        say "no '${OMPI_MCA_plm_rsh_agent:-ssh}' is there to reach hosts with (openssh-client, or OMPI_MCA_plm_rsh_agent)"
        exit 1
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

# Whether a host is this machine, which needs no agent.
is_here() { # HOST
    local name
    name=$(uname -n)
    [[ $1 =~ ^(localhost|127\..*|::1)$ || ${1%%.*} = "${name%%.*}" ]]
}

are_hosts_elsewhere() {
    local host
    for host in "${hosts[@]}"; do
        is_here "$host" || return 0
    done
    return 1
}

# Runs a command in a session, which leaves nothing of it behind, with a limit.
in_time() { # FILE-FOR-ITS-END COMMAND...
    # shellcheck disable=SC2086 # words
    trap - $SIGNALS EXIT
    METALOOP_STATUS='' exec timeout "$PROBE" "$session" --end "$@" </dev/null
}

# Asks every other host, at once; who answers leaves "exit 0".
ask_hosts() {
    local i
    asking=()
    for i in "${!hosts[@]}"; do
        rm -f "$own/answer.$i"
        if is_here "${hosts[i]}"; then
            echo "exit 0" >"$own/answer.$i"
            continue
        fi
        # shellcheck disable=SC2086 # the agent may have arguments
        (in_time "$own/answer.$i" $agent "${hosts[i]}" true >/dev/null 2>&1) &
        asking+=($!)
    done
}

wait_for_hosts() {
    local pid
    for pid in ${asking[@]+"${asking[@]}"}; do
        while is_running "$pid" && ! is_stopping; do
            tick
        done
    done
}

# A session has an agent that does not obey ended.
stop_asking() {
    local pid
    for pid in ${asking[@]+"${asking[@]}"}; do
        kill -TERM "$pid" 2>/dev/null || true
    done
    for pid in ${asking[@]+"${asking[@]}"}; do
        wait_for_end "$pid" 5 || true
    done
    asking=()
}

# The hosts that were asked and have not answered, in words.
silent_hosts() {
    local i list=()
    for i in "${!hosts[@]}"; do
        grep -qsx "exit 0" "$own/answer.$i" || list+=("'${hosts[i]}'")
    done
    case ${#list[@]} in
    0) ;;
    1) echo ": host ${list[0]} does not answer" ;;
    *) echo ": ${#list[@]} hosts do not answer: ${list[*]}" ;;
    esac
}

# HOST NUMBER: leaves its cores in a file, if it answers; clears what the lost attempt left there.
probe() {
    in_time "$own/probe.$2.end" mpirun --host "$1" -n 1 sh -c "rm -f $(segments); nproc" >"$own/probe.$2" 2>"$own/probe.$2.err"
}

# Leaves out the hosts that no longer answer; fewer ranks if fewer slots are left.
choose_hosts() {
    local i left=() left_slots=() total=0 n
    [ ${#hosts[@]} -gt 0 ] || return 0
    asking=()
    for i in "${!hosts[@]}"; do
        rm -f "$own/probe.$i.end"
        (probe "${hosts[i]}" "$i") &
        asking+=($!)
    done
    wait_for_hosts
    ! is_stopping || return 0
    for i in "${!hosts[@]}"; do
        if ! grep -qsx "exit 0" "$own/probe.$i.end" || [ ! -s "$own/probe.$i" ]; then
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
