"""The scripts that teach bash, zsh and fish to ask for candidates: `eegctl completion SHELL` prints one.

No shell ever evaluates what comes back: candidates reach it as plain words, and are quoted where they are inserted.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from eegd.cli.common import OK

__all__ = ["SCRIPTS", "add_commands", "run_complete", "run_completion"]

BASH = r"""# bash completion of eegctl and eegd: source it, or put it into /usr/share/bash-completion/completions
_eegd_complete() {
    # By blanks alone: bash itself would also part words at = and :
    local line=${COMP_LINE:0:COMP_POINT} cur= text doc words
    read -ra words <<<"$line"
    case $line in *[[:blank:]]) words+=("") ;; esac
    cur=${words[${#words[@]}-1]}
    # What readline takes for the beginning of the word stays where it is.
    local kept=${cur%"${cur##*[=:]}"}
    COMPREPLY=()
    while IFS=$'\t' read -r text doc; do
        case $text in *[=,]) compopt -o nospace ;; esac
        printf -v text '%q' "${text#"$kept"}"
        # %q puts a backslash before commas, too, and then nothing of O1,O2 would be as it was typed.
        COMPREPLY+=("${text//'\,'/,}")
    done < <(command eegctl complete "$1" -- "${words[@]:1}" 2>/dev/null)
}
complete -o default -o nosort -F _eegd_complete eegctl eegd
"""

ZSH = r"""#compdef eegctl eegd
# zsh completion: put it as _eegctl into a directory of $fpath, or: source <(eegctl completion zsh)
_eegd_complete() {
    local -a texts shown open_texts open_shown
    local text doc tab=$'\t'
    while IFS=$tab read -r text doc; do
        if [[ $text == *[=,] ]]; then
            open_texts+=("$text") open_shown+=("$text  $doc")
        else
            texts+=("$text") shown+=("$text  $doc")
        fi
    done < <(command eegctl complete "${words[1]:t}" -- "${(@Q)words[2,CURRENT]}" 2>/dev/null)
    if (( ${#texts} + ${#open_texts} == 0 )); then
        _files
        return
    fi
    compadd -l -V eegd -d shown -a texts
    compadd -l -V eegd -S '' -d open_shown -a open_texts
}
if [[ $funcstack[1] == _eegctl ]]; then
    _eegd_complete "$@"
else
    compdef _eegd_complete eegctl eegd
fi
"""

FISH = r"""# fish completion of eegctl and eegd: put it into a directory of $fish_complete_path
function __eegd_complete
    set -l before (commandline -opc)
    set -l found (command eegctl complete $argv[1] -- $before[2..] (commandline -ct) 2>/dev/null)
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c eegctl -f -k -a '(__eegd_complete eegctl)'
complete -c eegd -f -k -a '(__eegd_complete eegd)'
"""

SCRIPTS = {"bash": BASH, "zsh": ZSH, "fish": FISH}


def add_commands(command: Callable[..., argparse.ArgumentParser]) -> None:
    """command: makes a subcommand from its name, its function and a sentence."""
    parser = command("completion", run_completion, "the script that completes eegctl and eegd in a shell")
    parser.add_argument("shell", choices=tuple(SCRIPTS), help="which one")


def run_completion(args: argparse.Namespace) -> int:
    print(SCRIPTS[args.shell], end="")
    return OK


def run_complete(arguments: Sequence[str]) -> int:
    """`eegctl complete eegctl|eegd -- WORD…`, which the scripts call."""
    from eegd.cli.complete import COMMANDS, print_candidates

    command, *rest = arguments or [""]
    if command not in COMMANDS:
        return OK
    return print_candidates(command, rest[1:] if rest[:1] == ["--"] else rest)
