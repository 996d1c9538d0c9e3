"""Completion in bash, which splits KEY=VALUE into three words; here the line is split again without that."""

from __future__ import annotations

import os
from typing import Any, ClassVar

from click.shell_completion import BashComplete, CompletionItem, add_completion_class, split_arg_string

SOURCE = """
%(complete_func)s() {
    local IFS=$'\\n' response completion type value
    local line="${COMP_LINE:0:$COMP_POINT}"
    response=$(env COMP_LINE="$line" COMP_WORDBREAKS="$COMP_WORDBREAKS" %(complete_var)s=bash_complete $1)
    COMPREPLY=()
    for completion in $response; do
        IFS=',' read type value <<< "$completion"
        if [[ $type == 'file' ]]; then
            compopt -o default
        else
            COMPREPLY+=("$value")
            if [[ $value == *[=.] ]]; then compopt -o nospace; fi
        fi
    done
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class WholeWords(BashComplete):
    """Completes words that contain characters at which bash splits words."""

    source_template: ClassVar[str] = SOURCE

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the cursor, and the incomplete one."""
        line = os.environ["COMP_LINE"]
        words = split_arg_string(line)
        self._word = words.pop() if words and not line[-1].isspace() else ""
        return words[1:], self._word

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """Return the completion of the part of the word after its last break."""
        breaks = set("=:") & set(os.environ.get("COMP_WORDBREAKS", ""))
        kept = max((self._word.rfind(mark) + 1 for mark in breaks), default=0)
        return f"{item.type},{item.value[kept:] if item.type == 'plain' else item.value}"


def register() -> None:
    """Register this completion with click for bash."""
    add_completion_class(WholeWords)
