/** Names for containers that were given none: a mood and someone who built, dug or sailed. */
import { randomInt } from 'node:crypto';

const moods = (
  'able agile airy amber ample apt arctic astute azure balmy bold brave breezy brief bright brisk broad calm candid careful central cheery ' +
  'chief civil clear clever coastal cosmic cozy crisp curious daring deft dapper eager early earnest easy elated epic even exact fair famous ' +
  'fast festive fine firm fleet fluent fond frank free fresh frosty gentle giant gifted glad golden grand hardy hearty hidden honest humble ' +
  'ideal jolly jovial keen kind lasting level light likely lively lofty loyal lucid lunar magic major mellow merry mighty mild modern modest ' +
  'neat nimble noble novel ocean open patient placid plucky polite precise prime proud pure quick quiet ready regal rapid robust rosy round ' +
  'royal rustic sage scenic serene sharp silent silver simple sleek smart smooth snug solar solid sound spry stable steady stellar stoic ' +
  'sturdy subtle sunny sure swift tidy tough tranquil true trusty upbeat urban valiant vast velvet vivid warm wise witty young zealous zesty'
).split(' ');

const people = (
  'agnesi amundsen anning archimedes babbage bazalgette bernoulli bessemer blackwell bly boole braille brunel cabot carson carver cayley ' +
  'celsius cook coulomb curie darby darwin davy diesel dijkstra earhart edison eiffel ericsson euler fangio faraday fermat fibonacci ' +
  'fourier franklin fulton galilei galois gauss germain goddard godel gray gutenberg hadid halley hamilton harrison herschel hertz hilbert ' +
  'hooke hopper hubble humboldt huygens hypatia joule kepler khayyam khwarizmi knuth kovalevskaya lamarr leavitt leibniz linnaeus lovelace ' +
  'magellan marconi maxwell mccoy meitner mendel mercator mirzakhani montgolfier morse nansen newcomen nightingale nobel noether oersted ohm ' +
  'otis pascal pasteur perey planck polo ptolemy ramanujan roebling rubin shackleton shannon siemens smeaton somerville stephenson tabei ' +
  'telford tereshkova tesla torricelli trevithick turing vaughan volta watt wegener whitworth wren wright yonath zeppelin zuse'
).split(' ');

/** `isFree` is asked until it says yes; when names run short they get a number. */
export function generateName(isFree: (name: string) => boolean): string {
  for (let attempt = 0; ; attempt++) {
    const name = `${pick(moods)}_${pick(people)}${attempt < 6 ? '' : randomInt(10 ** Math.min(attempt - 5, 9))}`;
    if (isFree(name)) return name;
  }
}

function pick(words: readonly string[]): string {
  return words[randomInt(words.length)] as string;
}
