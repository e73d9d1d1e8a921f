# Completion of watchword for fish. Put it into ~/.config/fish/completions/watchword.fish, or run:
# watchword completion fish | source
function __watchword_complete
    set -l before (commandline -opc)
    set -l word (commandline -ct)
    set -l lines (command $before[1] complete-words $before[2..-1] "$word" 2>/dev/null)
    if test "$lines" = :files
        # The word may be --flag=FILE.
        set -l flag (string match -r -- '^--[^=]*=' $word)
        __fish_complete_path (string replace -r -- '^--[^=]*=' '' $word) | string replace -r -- '^' "$flag"
    else
        string join -- \n $lines
    end
end
complete -c watchword -f -a '(__watchword_complete)'
