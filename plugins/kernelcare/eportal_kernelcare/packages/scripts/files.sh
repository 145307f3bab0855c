# begin FILE: $new is a file beside it, with its owner and mode, to be written.
begin() {
    mkdir -p "$(dirname "$1")"
    new=$1.eportal-new
    rm -f "$new"
    if [ -e "$1" ]; then
        cp -p "$1" "$new"
    else
        : >"$new"
        chmod 644 "$new"
    fi
}

# finish FILE: it is what was written to $new, in one step; nothing happens if it is that already.
finish() {
    if [ -e "$1" ] && [ "$(sha256sum <"$1")" = "$(sha256sum <"$new")" ]; then
        rm -f "$new"
    else
        mv -f "$new" "$1"
        say "$1 was written."
    fi
}

# set_options FILE first|last NAME VALUE [NAME VALUE]...: lines NAME=VALUE, where NAME= stood or
# else at that end; all others stay as they are.
set_options() {
    file=$1
    # A link stays one.
    if [ -L "$file" ]; then file=$(readlink -f "$file"); fi
    shift
    begin "$file"
    from=/dev/null
    if [ -e "$file" ]; then from=$file; fi
    LC_ALL=C awk '
        BEGIN {
            place = ARGV[1]
            for (i = 2; i < ARGC; i += 2) {
                value[ARGV[i]] = ARGV[i + 1]
                order[++options] = ARGV[i]
            }
            ARGC = 1
        }
        {
            name = $0
            sub(/^[ \t]*/, "", name)
            sub(/[ \t]*=.*$/, "", name)
            if (index($0, "=") && name in value) {
                $0 = name "=" value[name]
                found[name] = 1
            }
            line[NR] = $0
        }
        function add_missing(i) {
            for (i = 1; i <= options; i++)
                if (!(order[i] in found)) print order[i] "=" value[order[i]]
        }
        END {
            if (place == "first") add_missing()
            for (i = 1; i <= NR; i++) print line[i]
            if (place == "last") add_missing()
        }
    ' "$@" <"$from" >"$new"
    finish "$file"
}
