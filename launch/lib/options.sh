# What launch/run reads from its command line. Sourced by it.
# shellcheck shell=bash disable=SC2034,SC2154 # variables of launch/run

OWN_OPTIONS='-n --hostfile --host --max-restarts --help --version'

misuse() {
    say "$*; try '$me --help'"
    exit 64
}

usage() {
    sed -n '3,/^SIGNALS/s/^# \{0,1\}//p' "$home/launch/run" | sed "s|launch/run|$me|g"
}

whole() { # NAME VALUE LEAST
    if [[ ! $2 =~ ^[0-9]{1,6}$ ]] || [ "$((10#$2))" -lt "$3" ]; then
        misuse "'$1' needs a whole number of at least $3, not '$2'"
    fi
}

# Sets `letters`: how many have to change, come or go between two words.
distance() { # WORD WORD
    local i j corner above cell row=()
    for ((j = 0; j <= ${#2}; j++)); do
        row[j]=$j
    done
    for ((i = 1; i <= ${#1}; i++)); do
        corner=${row[0]} row[0]=$i
        for ((j = 1; j <= ${#2}; j++)); do
            above=${row[j]} cell=$corner
            if [ "${1:i-1:1}" != "${2:j-1:1}" ]; then
                cell=$((cell < above ? cell : above))
                cell=$((1 + (cell < row[j - 1] ? cell : row[j - 1])))
            fi
            row[j]=$cell corner=$above
        done
    done
    letters=${row[${#2}]}
}

# An option that is not ours: what was meant, or where it belongs.
unknown_option() { # WORD
    local word=${1%%=*} name near='' least=3 letters
    case $word in
    -np | --np | -N | --n | -c | -p | --ranks | --procs | --nprocs | -n?*) near=-n ;;
    -H | --hosts) near=--host ;;
    -hostfile | --machinefile | -machinefile | --host-file) near=--hostfile ;;
    -host) near=--host ;;
    --set | --run | --resume | --overwrite | --other-data | --data-root | --checkpoint | --episodes | --domain | --stage | --json | --quiet | --time-limit)
        misuse "'$word' is an option of the verb and belongs behind it, as in '$me -n 4 train cluster.conf $word ...'"
        ;;
    esac
    if [ -z "$near" ]; then
        for name in $OWN_OPTIONS; do
            distance "$word" "$name"
            [ "$letters" -ge "$least" ] || near=$name least=$letters
        done
    fi
    misuse "there is no option '$word'${near:+, did you mean '$near'?}"
}

read_own_options() {
    local word value
    while [ $# -gt 0 ]; do
        word=$1
        case $word in
        -h | --help) usage && exit 0 ;;
        --version) need_program && exec "$program" --version ;;
        --) shift && break ;;
        -n | --hostfile | --host | --max-restarts)
            [ $# -gt 1 ] || misuse "'$word' needs a value"
            value=$2
            shift
            ;;
        --hostfile=* | --host=* | --max-restarts=*) value=${word#*=} word=${word%%=*} ;;
        -*) unknown_option "$word" ;;
        *) break ;;
        esac
        shift
        case $word in
        -n) whole -n "$value" 1 && ranks=$((10#$value)) ;;
        --hostfile) hostfile=$value ;;
        --host) read_host_list "$value" ;;
        --max-restarts) whole --max-restarts "$value" 0 && max_restarts=$((10#$value)) ;;
        esac
    done
    [ $# -gt 0 ] || misuse "a verb is missing, as in '$me train cluster.conf'"
    args=("$@")
    [ -z "$hostfile" ] || [ ${#hosts[@]} = 0 ] || misuse "'--hostfile' and '--host' exclude each other"
    [ -z "$hostfile" ] || read_hostfile "$hostfile"
}

# What this script has to know of metaloop's own arguments; metaloop itself checks them.
read_arguments() {
    local i word
    verb=${args[0]}
    for ((i = 1; i < ${#args[@]}; i++)); do
        word=${args[i]}
        case $word in
        -n | -np | --np | --hostfile | --host | --max-restarts | --hostfile=* | --host=* | --max-restarts=*)
            misuse "'${word%%=*}' is an option of $me and belongs before the verb, as in '$me -n 4 $verb ...'"
            ;;
        --set | --run | --data-root | --checkpoint | --episodes | --domain | --stage | --time-limit)
            if [ $((i + 1)) -lt ${#args[@]} ]; then
                i=$((i + 1))
                word=$word=${args[i]}
            fi
            ;;
        esac
        case $word in
        --set=*) sets+=("$word") ;;
        --run=*) run_directory=${word#--run=} && rest+=("$word") ;;
        --*) rest+=("$word") ;;
        *) if [ -z "$conf" ]; then conf=$word; else rest+=("$word"); fi ;;
        esac
    done
}
