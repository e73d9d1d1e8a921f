#compdef watchword
# Completion of watchword for zsh. Put it as _watchword into a folder of $fpath, or run after
# compinit: source <(watchword completion zsh)
_watchword() {
  local line value help
  local -a candidates
  for line in "${(@f)$("${words[1]}" complete-words "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    if [[ $line == :files ]]; then
      compset -P '--*='
      _files
      return
    fi
    value=${line%%$'\t'*} help=${line#*$'\t'}
    [[ -n $value ]] && candidates+=("${value//:/\\:}:$help")
  done
  _describe -t values 'watchword' candidates
}
if [[ ${funcstack[1]} == _watchword ]]; then
  _watchword "$@"
else
  compdef _watchword watchword
fi
