/** Which variables hold what should not be seen, by their names. */
const secretWords = ['apikey', 'auth', 'credential', 'credentials', 'key', 'password', 'pword', 'passwd', 'secret', 'token'];
const harmlessWords = ['public', 'file', 'version'];

export function looksSecret(name: string): boolean {
  const words = name.toLowerCase().split('_');
  return words.some((word) => secretWords.includes(word)) && !words.some((word) => harmlessWords.includes(word));
}
