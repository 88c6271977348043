# Lamplight's wrapper for bash and zsh. Written by `lamp setup`, which writes it anew; taken out by `lamp setup --undo`.
#
# Starts an agent under a name for its terminal, `--as NAME` or else the terminal's own, and tells Lamplight when it
# ended. The agent is a child of this very shell, so that pipes, Ctrl-Z and `fg` are as ever. Without lamp, and inside an
# agent, the program runs as if this were not here.

function __lamplight {
    [ -z "${ZSH_VERSION-}" ] || emulate -L zsh
    local lamplight_agent=$1 lamplight_program=$2 lamplight_lamp=@LAMP@ lamplight_data=@DATA@
    local lamplight_left lamplight_as='' lamplight_verbatim='' lamplight_attributes='' lamplight_traps=''
    local lamplight_signal='' lamplight_status=0
    shift 2

    # Every argument goes once round, but for --as and its name.
    lamplight_left=$#
    while [ "$lamplight_left" -gt 0 ]; do
        case $lamplight_verbatim$1 in
            --as=*)
                lamplight_as=${1#--as=}
                shift
                ;;
            --as)
                shift
                if [ "$lamplight_left" -gt 1 ]; then
                    lamplight_as=$1
                    shift
                    lamplight_left=$((lamplight_left - 1))
                fi
                ;;
            *)
                [ "$1" != -- ] || lamplight_verbatim=' '
                set -- "$@" "$1"
                shift
                ;;
        esac
        lamplight_left=$((lamplight_left - 1))
    done

    if [ -x "$lamplight_lamp" ] && [ -z "${CLAUDECODE-}${GEMINI_CLI-}" ]; then
        lamplight_attributes=$(
            [ -z "$lamplight_data" ] || export LAMPLIGHT_DATA="$lamplight_data"
            "$lamplight_lamp" otel-resource-attrs --agent "$lamplight_agent" --terminal --as "$lamplight_as" 2>/dev/null
        ) || lamplight_attributes=''
    fi
    if [ -z "$lamplight_attributes" ]; then
        command "$lamplight_program" "$@"
        return
    fi

    # A signal to this shell waits until the agent has ended; then its end is told first.
    [ -n "${ZSH_VERSION-}" ] || lamplight_traps=$(trap -p HUP INT TERM)
    trap 'lamplight_signal=HUP' HUP
    trap 'lamplight_signal=INT' INT
    trap 'lamplight_signal=TERM' TERM
    OTEL_RESOURCE_ATTRIBUTES=$lamplight_attributes command "$lamplight_program" "$@" || lamplight_status=$?

    if __lamplight_ended "$lamplight_status"; then
        (
            [ -z "$lamplight_data" ] || export LAMPLIGHT_DATA="$lamplight_data"
            OTEL_RESOURCE_ATTRIBUTES=$lamplight_attributes "$lamplight_lamp" session-end </dev/null >/dev/null 2>&1
        ) || :
    fi
    trap - HUP INT TERM
    [ -z "$lamplight_traps" ] || eval "$lamplight_traps"
    case $lamplight_signal$lamplight_status in
        HUP* | TERM* | INT130) kill -s "$lamplight_signal" "${BASHPID:-$$}" ;;
    esac
    return "$lamplight_status"
}

# Whether a status says that the program ended: it was started, is not merely stopped, and did not crash, which is not an
# end anybody wanted.
function __lamplight_ended {
    case $1 in
        126 | 127) return 1 ;;
    esac
    [ "$1" -gt 128 ] || return 0
    case $(kill -l "$1" 2>/dev/null) in
        HUP | INT | TERM) return 0 ;;
        # zsh stops a function with the program it runs: that it goes on says that the program has ended since.
        STOP | TSTP | TTIN | TTOU) [ -n "${ZSH_VERSION-}" ] && return 0 ;;
    esac
    return 1
}

@FUNCTIONS@
