# Completes metaloop-observe in fish.

function __metaloop_observe_endpoints
    grep -hos 'endpoint = "[^"]*"' runs/*/configuration.conf *.conf | string replace -r '.*"(.*)"' '$1' | string replace '*' 127.0.0.1
end

complete -c metaloop-observe -a '(metaloop-observe --help 2>/dev/null | string replace -rf "^  (--[a-z-]+)[ A-Z:_]* {2,}(.*)" "\$1\t\$2")'
complete -c metaloop-observe -a '(__metaloop_observe_endpoints)'
