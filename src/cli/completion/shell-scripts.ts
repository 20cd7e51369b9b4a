/** What `gantry completion SHELL` prints: a few lines for each shell that ask `gantry __complete` for the words. */

const bash = `# Completion of gantry for bash. Try it: source <(gantry completion bash)
_gantry() {
  local IFS=$'\\n'
  COMPREPLY=($(gantry __complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _gantry gantry
`;

const zsh = `#compdef gantry
# Completion of gantry for zsh. Try it: source <(gantry completion zsh)
_gantry() {
  local -a candidates
  candidates=("\${(@f)$(gantry __complete -- "\${words[@]:1:$((CURRENT - 1))}" 2>/dev/null)}")
  if [[ -n "\${candidates[1]}" ]]; then compadd -- "\${candidates[@]}"; else _files; fi
}
if [[ "$funcstack[1]" = _gantry ]]; then _gantry; else compdef _gantry gantry; fi
`;

const fish = `# Completion of gantry for fish. Try it: gantry completion fish | source
function __gantry_complete
  set -l words (commandline -opc) (commandline -ct)
  gantry __complete -- $words[2..-1] 2>/dev/null
end
complete -c gantry -a '(__gantry_complete)'
`;

export const shellScripts: Readonly<Record<string, string>> = { bash, fish, zsh };
