# Completes metaloop in fish. Everything is asked of the program itself.

function __metaloop_verbs
    metaloop --help 2>/dev/null </dev/null | string replace -rf '^  ([a-z]+) +(.*)' '$1\t$2'
end

function __metaloop_verb
    set -l words (commandline -opc)
    for word in $words[2..]
        contains -- $word (__metaloop_verbs | string replace -r '\t.*' '') && echo $word && return
    end
    return 1
end

function __metaloop_options
    set -l verb (__metaloop_verb) || return
    metaloop $verb --help 2>/dev/null </dev/null | string replace -rf '^  (--[a-z-]+)[ A-Z=]* {2,}(.*)' '$1\t$2'
end

function __metaloop_names # KIND
    for word in (commandline -opc)
        string match -q '*.conf' -- $word && test -r $word &&
            string replace -rf "^ *$argv[1] +([A-Za-z0-9_-]+) *\{.*" '$1' <$word
    end
end

function __metaloop_keys
    set -l kind
    for line in (metaloop list keys 2>/dev/null </dev/null)
        if set -l found (string match -r '^([a-z]+)' -- $line)
            set kind $found[2]
        else if set -l found (string match -r '^    ([a-z_]+)' -- $line)
            if contains $kind data model stage
                for name in (__metaloop_names $kind)
                    echo $kind.$name.$found[2]=
                end
            else
                echo $kind.$found[2]=
            end
        end
    end
end

function __metaloop_before # OPTION...
    contains -- (commandline -opc)[-1] $argv
end

function __metaloop_lists
    metaloop list --help 2>/dev/null </dev/null | string replace -rf '^usage: metaloop list ([a-z|]*).*' '$1' | string split '|'
end

for command in metaloop metaloop-run
    complete -c $command -f
    complete -c $command -n 'not __metaloop_verb' -a '(__metaloop_verbs)'
    complete -c $command -n '__metaloop_verb' -a '(__metaloop_options)'
    complete -c $command -n '__metaloop_before --set' -a '(__metaloop_keys)'
    complete -c $command -n '__metaloop_before --stage' -a '(__metaloop_names stage)'
    complete -c $command -n '__metaloop_before --domain' -a '(__metaloop_names data)'
    complete -c $command -n '__metaloop_before list' -a '(__metaloop_lists)'
    complete -c $command -n '__metaloop_verb; and not __metaloop_before --set --stage --domain list' -F
end
