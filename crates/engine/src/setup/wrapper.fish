# Lamplight's wrapper for fish. Written by `lamp setup`, which writes it anew; taken out by `lamp setup --undo`.
#
# Starts an agent under a name for its terminal, `--as NAME` or else the terminal's own, and tells Lamplight when it
# ended. The agent is a child of this very shell, so that pipes, Ctrl-Z and `fg` are as ever. Without lamp, and inside an
# agent, the program runs as if this were not here.

function __lamplight
    set -l agent $argv[1]
    set -l program $argv[2]
    set -e argv[1..2]
    set -l lamp @LAMP@
    set -l data @DATA@

    set -l name ''
    set -l rest
    set -l verbatim no
    while set -q argv[1]
        switch $verbatim$argv[1]
            case 'no--as=*'
                set name (string replace -- '--as=' '' $argv[1])
            case no--as
                if set -q argv[2]
                    set name $argv[2]
                    set -e argv[1]
                end
            case '*'
                test "$argv[1]" = -- && set verbatim yes
                set -a rest $argv[1]
        end
        set -e argv[1]
    end

    set -l attributes
    if test -x $lamp; and test -z "$CLAUDECODE$GEMINI_CLI"
        test -n "$data"; and set -lx LAMPLIGHT_DATA $data
        set attributes ($lamp otel-resource-attrs --agent $agent --terminal --as "$name" 2>/dev/null)
    end
    if test -z "$attributes"
        command $program $rest
        return
    end

    # A signal to this shell waits until the agent has ended; then its end is told first. Ctrl-C that ends the agent ends
    # this function too: what is set here is told after the whole line then.
    set -g __lamplight_running $lamp $attributes "$data"
    set -g __lamplight_signal ''
    function __lamplight_hup --on-signal HUP
        set -g __lamplight_signal HUP
    end
    function __lamplight_term --on-signal TERM
        set -g __lamplight_signal TERM
    end
    function __lamplight_int --on-signal INT
        set -g __lamplight_signal INT
    end
    # A program that is merely stopped leaves the status as it was: as one that was stopped, then.
    __lamplight_stopped
    OTEL_RESOURCE_ATTRIBUTES=$attributes command $program $rest
    set -l ended $status
    __lamplight_over $ended
    set -l signal $__lamplight_signal
    set -e __lamplight_signal
    switch $signal$ended
        case 'HUP*' 'TERM*' INT130
            kill -s $signal $fish_pid
    end
    return $ended
end

function __lamplight_stopped
    return 147
end

# Tells the end of the run that is over, once.
function __lamplight_over
    set -q __lamplight_running; or return
    set -l run $__lamplight_running
    set -e __lamplight_running
    functions -e __lamplight_hup __lamplight_term __lamplight_int
    if __lamplight_ended $argv[1]
        test -n "$run[3]"; and set -lx LAMPLIGHT_DATA $run[3]
        OTEL_RESOURCE_ATTRIBUTES=$run[2] $run[1] session-end </dev/null >/dev/null 2>&1
    end
end

function __lamplight_interrupted --on-event fish_postexec
    __lamplight_over $status
end

# Whether a status says that the program ended: it was started, is not merely stopped, and did not crash, which is not an
# end anybody wanted.
function __lamplight_ended
    test $argv[1] -lt 126; and return 0
    # HUP, INT, TERM
    contains -- $argv[1] 129 130 143
end

@FUNCTIONS@
