# What suits this place: flags of Open MPI, slots, mpirun's words for where and how many. Sourced by launch/run.
# shellcheck shell=bash disable=SC2034,SC2154 # variables of launch/run

# Whether one process may read another's memory here; a container's filter may forbid it, and then Open MPI
# complains with each message.
can_read_memory() {
    grep -q '^Seccomp:[[:space:]]*0' /proc/self/status 2>/dev/null && return 0
    [ "$(uname -m)" = x86_64 ] && command -v perl >/dev/null && perl -e '
        my ($to, $from) = ("x" x 8, "y" x 8); # process_vm_readv is system call 310
        my @v = map { pack("QQ", unpack("Q", pack("p", $_)), 8) } ($to, $from);
        exit(syscall(310, $$ + 0, $v[0], 1, $v[1], 1, 0) == 8 ? 0 : 1)'
}

# What the user has set already stays.
suit_place() {
    if [ "$(id -u)" = 0 ]; then
        export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    fi
    export OPENBLAS_NUM_THREADS=${OPENBLAS_NUM_THREADS:-1}
    export OMPI_MCA_mpi_yield_when_idle=${OMPI_MCA_mpi_yield_when_idle:-1}
    export OMPI_MCA_mpi_warn_on_fork=${OMPI_MCA_mpi_warn_on_fork:-0}
    export OMPI_MCA_hwloc_base_binding_policy=${OMPI_MCA_hwloc_base_binding_policy:-none}
    if [ ${#hosts[@]} = 0 ] && [ -z "${OMPI_MCA_plm_rsh_agent:-}" ] && ! command -v ssh >/dev/null &&
        ! command -v rsh >/dev/null; then # which mpirun wants to find even if it reaches nobody
        export OMPI_MCA_plm_rsh_agent=sh
    fi
    if [ -z "${OMPI_MCA_btl_vader_single_copy_mechanism:-}" ] && ! can_read_memory; then
        export OMPI_MCA_btl_vader_single_copy_mechanism=none
    fi
}

# Slots of this machine or of the batch system's allocation, as mpirun counts them.
local_slots() {
    local cores
    if [ -n "${SLURM_TASKS_PER_NODE:-}" ]; then # "4(x2),3"
        tr , '\n' <<<"$SLURM_TASKS_PER_NODE" | awk -F '[(x)]+' '{ sum += $1 * ($2 ? $2 : 1) } END { print sum }'
    elif [ -n "${PBS_NODEFILE:-}" ]; then
        wc -l <"$PBS_NODEFILE"
    else
        cores=$(lscpu -p=CORE,SOCKET 2>/dev/null | grep -v '^#' | sort -u | wc -l) || cores=0
        if [ "$cores" = 0 ]; then
            cores=$(nproc)
        fi
        echo "$cores"
    fi
}

# 0: not known, some host's cores count.
total_slots() {
    local n sum=0
    [ ${#hosts[@]} -gt 0 ] || { local_slots && return; }
    for n in "${slots[@]}"; do
        [ "$n" -gt 0 ] || { echo 0 && return; }
        sum=$((sum + n))
    done
    echo "$sum"
}

host_list() {
    local i list=''
    for i in "${!hosts[@]}"; do
        list=$list${list:+,}${hosts[i]}$([ "${slots[i]}" = 0 ] || echo ":${slots[i]}")
    done
    echo "$list"
}

# mpirun's words for where and how many.
find_place() {
    local total
    total=$(total_slots)
    place=()
    if [ -n "$hostfile" ]; then
        place+=(--hostfile "$hostfile")
    elif [ ${#hosts[@]} -gt 0 ]; then
        place+=(--host "$(host_list)")
    fi
    [ -z "$ranks" ] || place+=(-n "$ranks")
    if [ -n "$ranks" ] && [ "$total" -gt 0 ] && [ "$ranks" -gt "$total" ]; then
        place+=(--oversubscribe)
    fi
}
