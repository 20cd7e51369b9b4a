/** Samples made by xz 5.4 and bzip2 1.0 of `text`; soak and hand runs compare larger ones with the programs themselves. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import { createBunzip2 } from './bzip2.ts';
import { decompress, detectCompression } from './compression.ts';
import { createUnxz } from './xz.ts';

const lines = Array.from({ length: 400 }, (_, index) => `line ${index} of ${(index * 7919) % 1000}\n`).join('');
const allBytes = Buffer.from(Array.from({ length: 512 }, (_, index) => index & 0xff));
const text = Buffer.concat([Buffer.from(lines), allBytes, Buffer.alloc(3000, 'a')]);
const base64 = (sample: string) => Buffer.from(sample, 'base64');

const xz = base64(
  '/Td6WFoAAATm1rRGAgAhARYAAAB0L+Wj4CYaBZVdADYaSh8IoCYDTQcngUbiKEKPwNZt3zdBairhS/p0yS3lrWVbNMVoXmS4BSTKaE4ywJhv9zbo4qi2eHKsuwRf1w7amr' +
    'bOEl/zZxb7XUtYPu9DZ6vaSZoeepQQpxhwCK4QMQp1wdH94h0+HBkRmccoYHCs4R0Xtq0FaD9dgd6C08YU6VZtO5wZGhOYCQgVmySl8xFBGbEgYsHa4uPzcmGP0o4QDqYT' +
    '51F3YCB84Q4qZeaYjmdwAsT4GCDaLPOjZNbkUo8o8mDEkmE44ZS2haTNT4gTgGDWkvnZbd+Xdp864rMD5VSqAZcloh919BBF5na/ZUSVdSpRKAHdYvlubB4uTmCRb0D+PV' +
    '1PSENjX0m0FFGnQIPlA8d7kIL+CxV9W4C1oof5wCMHwB2EqDeNaP/7kgOjP3c6WNrob8ve006oeDOqcZ9yt43bMvcWN9xbr5/jBNOW5o6GZLsodvcJ7tdDfiMX48V/qv9N' +
    'eb0W/LyQ6VPx+zAKrnaQoBaHOQbW3Ml+P9DtGz+QXv07Wa5ub9wMUSYN9oxWhTF3flq0gjfoTQpWGrtowdDMKz4PX16DAmOoOo7uXk8xO+329I8OHMdBFL75xTGa/EaZCF' +
    'Ig20/hVA93nOcOCXme0GjFpeKJcoAuODotz8XNTLvu2hM0nMHBcOgsgQDsGkZl+XTS1hL/9Ku0Bzsn9toNsJlg0byI5Yf9AdSoFFwwE9ih+ep6CPLQUAHbE9u/zHA2NBds' +
    'rb8DdmML7nygbJMKvbzoErJ5hnEP14TeIL7gqjdlxAXsGEw6YI8eMr4RlpNG+eUuRPngG6sqxJqIib1NSx+Xv8t/+7ZMm5C2MSnuyrqOy28f/ZTDv/VzLpvhEZfAgYI5zn' +
    'GAj54bmmudQNwvg5fP0bZv8sMFdecVP21M9DReNkEJInsZXYv4TiAIASl98H8E36RzdWX+jpDjOXmL6ODIocL9wJyZRH3sf2laY37cxpsr+29LEG8gz+aHQpL2SzJbBwkf' +
    '1s9oLl7L+EWkxJv57gWSUgW46O23RZPLLRCGLvb9Px3MJyS85lsUhfge+GgFDNgRD79wt/y3QxFc0nQtzRCOb0LlPAlm3j8hVQVw+oNz0uaKRHmvrp1nlq1RKajUgf8/Gr' +
    'E+jDp9YAecLfk9iLUw+jJX96v0YNcvUt9aVHw1zB15cXkkE/GJIz5vhvQaqw0cf29Ujitb/88zzOwmRxsDQrMT1/qBlcNpgEAs7q00GF9PZyCk8Pm084G2fmusSo1d1pmE' +
    'DF7BAz3F0Byt5eQh+ghb22Szjvx4dfnDRixjhpyAr3np8vI1sOEnW3uxqDz0kdHbYQLJBd7AcJZEB3MG2LAVq5fBczN7AcN6DnkyUXS3ujrU0W0MVZaSM64flMsJsksfIW' +
    'rI8xI2mFdI9vC25Xfle+haotKl/mR6DFzN71QUeZQBkLjFQK+T7SA9Zyl8OgLMdlSTGTrafoPIbsABne01cgpUf91nvjrf/skjxzNztArEit4sfzDWpPtKCfH0OTX/BCTQ' +
    '/QXc4PIS9SyUvK89WkYreIip2gv6Y/t7ob3VXGeWJYDcYSiaU0hYX/W158tJJj1tX4N8rdR1ZxwwU+qe0Q76XWQwGWCcOmHNdtTXaSFrxF01uzAcQ9P2IHYYiONWvVLEn/' +
    '2bTmkYqIkhG0k5BcUom744fZD+BZFTt3TH94Wm21G6TFXqRn54aQ6WFp/ABlBjmk9nV5sjCcK3IZffH+BRftBR10Zr+lkODjf3GBEZBTU04wxQQ6TmX9MyLYosoibIB6rw' +
    '3XBZslqnNsN82noaxwjYaLfYm2kXp7YzK2KqfFLVk2h1HLbHX+6z5qrdDWKMfz1llRUswGzhxehv1UskJnYzQpU0mg/oYNymwcZHyZn7lS52Pz67Dvg8SyWPqSiuvSgAAA' +
    'AAexLiblzY1ZcAAbELm0wAAB030naxxGf7AgAAAAAEWVo=',
);
const xzBlocks = base64(
  '/Td6WFoAAArh+wyhA8CuBqAfIQEWAAAAzIdQ1uAPnwMmXQA2GkofCKAmA00HJ4FG4ihCj8DWbd83QWoq4Uv6dMkt5a1lWzTFaF5kuAUkymhOMsCYb/c26OKotnhyrLsEX9' +
    'cO2pq2zhJf82cW+11LWD7vQ2er2kmaHnqUEKcYcAiuEDEKdcHR/eIdPhwZEZnHKGBwrOEdF7atBWg/XYHegtPGFOlWbTucGRoTmAkIFZskpfMRQRmxIGLB2uLj83Jhj9KO' +
    'EA6mE+dRd2AgfOEOKmXmmI5ncALE+Bgg2izzo2TW5FKPKPJgxJJhOOGUtoWkzU+IE4Bg1pL52W3fl3afOuKzA+VUqgGXJaIfdfQQReZ2v2VElXUqUSgB3WL5bmweLk5gkW' +
    '9A/j1dT0hDY19JtBRRp0CD5QPHe5CC/gsVfVuAtaKH+cAjB8AdhKg3jWj/+5IDoz93Olja6G/L3tNOqHgzqnGfcreN2zL3FjfcW6+f4wTTluaOhmS7KHb3Ce7XQ34jF+PF' +
    'f6r/TXm9Fvy8kOlT8fswCq52kKAWhzkG1tzJfj/Q7Rs/kF79O1mubm/cDFEmDfaMVoUxd35atII36E0KVhq7aMHQzCs+D19egwJjqDqO7l5PMTvt9vSPDhzHQRS++cUxmv' +
    'xGmQhSINtP4VQPd5znDgl5ntBoxaXiiXKALjg6Lc/FzUy77toTNJzBwXDoLIEA7BpGZfl00tYS//SrtAc7J/baDbCZYNG8iOWH/QHUqBRcMBPYofnqegjy0FAB2xPbv8xw' +
    'NjQXbK2/A3ZjC+58oGyTCr286BKyeYZxD9eE3iC+4Ko3ZcQF7BhMOmCPHjK+EZaTRvnlLkT54BurKsSaiIm9TUsfl7/Lf/u2TJuQtjEp7sq6jstvH/2Uw7/1cy6b4RGXwI' +
    'GCOc5xgI+eG5prnUDcL4OXz9G2b/LDBXXnFT9tTPQ0XjZBCSJ7GV2L+E4gCAEpffB/BN+kc3Vl/o6Q4zl5i+jgyKHC/cCcmUR97H9pWmN+3MabK/tvSxBvIM/mh0KS9ksy' +
    'WwcJH9bPaC5ey/hFpMSb+e4FklIFuOjtt0WTyy0Qhi72/T8dzCckvOZbFIX4HvhoBQzYEQ+/cLf8tKQHAAAAAAq07dieqKOAS63MAjWbj+ak7OaiYxkY7g73i+gZTz92A8' +
    'C3BaAfIQEWAAAAKxFmNOAPnwKvXQAYDH1Q5g1OX9pSHvc3MssuV9YgZ7gEGWE0BTk4Ez4t4qjgxMd/BXyG1UonjWukOdKWiWxbG5xFp3hUAKMEftfwqPCxLUaUwya2iC+G' +
    'DeGeGyLQmk4cJuDlGnsPSVqbNGzjKEbCDx1zJjluDO3O/8r76s755/TrDEX623V3G5rm4oNWhvnU1p81l+SYjAzuXSyRhbsVWFoHgq8yP7g+6WV5xaaIrnrjM1OAlfhbON' +
    'pcIMRFEDjzO47PSHb2vUCBU+68Biv0Yu8e7WVrspjjNteh9EswP5U81pjjbXD1f571qGymzxN/71B5VNrObYR8ZZxvXdsLzwSXbN3CCpeV54HOnVgmTrzq8ydTia34CnPB' +
    'nFRHUns8YbauEW9YENxy3niQEF2LIjx0SjkDsZ3L1oKsXGj7nlWV2/HHOPaQkcn6SWi2MY0Q5Z6CfBm1lFQ8P468hKdEWM8TYrpvJMGq+0eWFaj/954oSJTbYGXKS0Oj8E' +
    'PI3X6xJBHmH2aC5wpqygztaHQ7/vKf8grGQHnu8fOMcxpq+1CtU7E8uyTiW3V/Krwocq1AvFZ5DA9wrv8+04u8L5j64sKuC7cjthO2wJgfLqBX29tQ6Yh+zWE+Z60MFY/u' +
    'Fg/lHNuFXQ+9DStu7JgIRLydrSP4uTyMpay49DPtHV5OBO7QbLmGm/uiP9CwJ2DtYhdtsgHDTHTiK0ZEUBedgiDfQVL7gBbBsDcAbkcpidNJ8W5JphDUNtpnnbDM/vGCrl' +
    'Zvam0GJ2m+0xx9rZ9avytzrQBF02d6U8tsGTzADXtRuCOOaW99iQET33aonsCifRmtMH4PhtXjJc9pBh7/dSEa5uwiatv4rWHFAJWkXuAJsK8Of6YKMz0QLeuxhtmC0eAc' +
    'AjWBaZR+XesZqGdQngokRJwBhQoLQCtzvwAAAA0hN8WTGoqYtCpZOJN0hHtBuxkYnZtfy8fDjfmywwIhA8AY2w0hARYAAAAAabD62eAG2gAQXQAw7/u//qOxXuX4P6LJye' +
    'IAAKGJr6Kcx/hf3rDrPjqI0F5fG085/URTVXnYWfCDqhSWAAPeBqAf5wWgH0jbDQAAAGNNDjyrCobKBAAAAAAKWVo=',
);
const xzProps = base64(
  '/Td6WFoAAAFpIt42AgAhARYAAAB0L+Wj4CYaBc0TADYbHRTfEeYDbEmhtvr7tVw4gxhE+xLQ2sPiDszkf/ZmafTOSdo+w9zqtffi5yXzkFJQx0d6kmPiRXUYphUuXoPipr' +
    '+/fmpvW+vdpcJmkk7dtRW3Odl5wCcs9GtIJXdG93A5HPjNgtOKNU3PcRHdIqUexjw3a5I1XIBD9gmy9E07LTENunMXLNcGHZ+iNzrzfDWrLX/wBQ8IAKu74qrUubgMN152' +
    '9vlxHTxbty2BM1fvdQf+pE5oZO3JIbCGGDblLJ1ts2LIabIcUl1Zp+zN8Rg7OdfxeB2R5/8+evJQSWmE/kD3g4Jaa0w4LlZYPt6H9fKo1ucjlrbh7VVZGe6ezMDtC0J728' +
    'VzCwJ2G+JkDDul5ruJk62iylVKG4jGc+gjLz91Nfj5aqIKoOK1rb18FyseAoHkXngizdii6o2vUvJoavdvOycYV1pDofC6PO+6bygjSIO/fTYK8Y4L25vNMNE915gQZwXn' +
    'rCakt+bvd2FZmViP8V5AdZQ5v8q7h92QuNcPSflYm++g9x6rv6jiDbf2w9U8p7KYQdCA2W6AB7kuttnPZFvYUMCDmK8fgLNcefXJILcs9RQepc/7oIiJxjl2sYpirQn9PI' +
    'pnXFaNw5OSZcimjJ9oiy/Zh3W2EMjb/R00TtaRtZ2lo6Y8xpnUjB1VyTf1QOCaW5xXDJ53JuBKnWt5IipEfu5nRIg5RXfHGNewAmcKKPDLSrttAWWBWHCZyvV3ehQFdNLI' +
    'ouN0hBG4+E0iXU+vPtT7Ohsg/htrYHkFTa6HQZDUocSU/oRJtJgU80smMu0HzcMIE/+19LEtUhrC3U6okOU0RH+emOvCDy7zLrlqJ+dAiVZGv4t3H/JKVmYT7BSLsZftkd' +
    '/V+ksm1HBPyVVmM9QXQeCddvHHTTBr8P0iXNQrWvzrHzwbpmnzFnpLmoXkx1LhjNJJfW9MtD6DygCjzeAJwgbPOGX/V/tKogBTiJgj8WNDXDj3EYwLWuUMuHlQ1JPY0kjt' +
    'oskcjaXy6OP1Jp5vgKwS1M6lSgoDgSK6wZJjLqF6kL3gQ5y9PIRRUIMDPmlwCAnTWlSQOsLua/FLWuA92Ifol4XfaoIeAnznjkInPv7+Fj53cQdvNO7j8rBl2ddtTLuGZI' +
    'pM/ofD8gOL1waEcJxy8mRpxM1sFBz03mFGClS+B+4kOuizGB+ejhfds/08dNghKJGDMeB1/mGTnyszqJYIp7dIvxWD2D1JroDs20GlYfuA/ebnIOCH+XPqUbre1kbJZAUg' +
    'NhMEZksTvNfRhAg7qsIazphoaVmYdm229MBbSSQ8i0nHolkXkztDUkMoFHs4e2++RbDUuCJj19NjDVnA8X5cGM6NS4JmW18QAvOq1FS0tDCIoNxiTm4A0I+tTtalu7CDnh' +
    'Do1BlOWCRmcIDZ8aiWerW7/q9sKBiiAAfxz7AGCdp7Xkqp3F49TXRi/zXRnFtsdzePan3GdLmf+x4WWUS10geDaIaAvcN2wVPZ992nxVUTX+0fkDfH0WD6jC1Lg0VODNj9' +
    'NZIzodZuLXNyFa4UZ9ILnRs6cTvMd4Nui1bTTEyyxxtD3znRN998Vp7am+j3d148qQkYoJ6VRpkmPdG5ORA558k+z7G1zmwGTAVKXvsph+Ei+6qajRrMG5xhTYXRTcFca7' +
    'ggBFFJ+CdUm8KaIotudRYU0WbEolOEeyNhHUkxu8Gy5tu37hK22+gubA9D+RH+6uvyaTpT5ZBD2Q3xeak2EHC0WWtHZ7oJjaW/cc1LcGQ1E02P7PpK/BwH3XDsO6ea08d3' +
    '8yG0Tv5k5sGQFECWlrcBmHFs+zXdQkouiQb0N0JBwUWEcQcwBpcoyRPHpOh1YZ+Vi32auzs28e0kp6QX583Hw2dqzLdBgPlpFEzEENh6ypPGJ4mKgHW3n2I2RqFsE7vD1b' +
    '1ynIL0NIRsPOIgZrqAbNc4UWuCK9q+bh8a7nolqxaxyQf6k7Ohk7OxRb+D6OuTXPzYqb9QAAAAAACg29LkAAHlC5tMAAD8fc3hPjANiwIAAAAAAVla',
);
const bzip2 = base64(
  'QlpoOTFBWSZTWQGVRwoACl3/////////////////////////////////////////////4Am7APAAQB5RRRRSSiinw+UhKqppiaaZGRiMIaNGJhMmQxANGmRo00yYjEMgwm' +
    'gMTIyGhk0aZGmjRgIaZNGjIMmhk0aNNAMCZMTTQNME00aZMTRo0YVU88RP/VSqoANp6oAAADQNDQAAAAAMjAgMQGgAAAAA0A0AAAAaGQAaNAAAAAAAAKqnlNG3qSaYBMBM' +
    'JgBG0E0/UTJkyYjAAAQwACZMIyYmmTBMmCYmAACYCYAAAAABMAAJo0wTENNBCbIT1KqmgyMRoGg0NMmQGQ0AA0yaDIxDCAAMQMgaaDTQZNAaGjINNDQABpoyNAaMRoNMg0' +
    'BoMhoYIDIGeqqqZEwJgBMDIAAAAEwAAAAACekwAABMAAAAAAAAAAAAAmAAAAAAAAJSqaZEyNAZAMmRoBpoABpoGmh6QGgZDEDamQHlDQ0YgyBoyAaGRkGmRiADTIY1NAAG' +
    'EaAAMQ0Bo00aaBv+Fg6IB4HSB0wD4BgAgGgHdQA4WAUIIIIIIIIMCKCEIQhCEfCEWAuIAoJBIKCALjUBg0ANlgAws1AbNADBqAuIAoJBIKCALjUBg0ANlgAusQBs0AMGoC' +
    '4gCgkEgoIAuNQGDQA2WACgkEgoIAuNQGDQA2WADerby2923bcuty+3MLcxtzK3M7c0tzW3Nrc3tkkyWZNMnmUTKZlUyuYTCWFKFClIQpSQpQhClKFKUkKECQpShSlIQKUJ' +
    'ClIQpQoUpIUpQpQgSFKSFKUCBShSlJClAIFKQhSkhShCFKUKUpIECkhSlClKQgUpIUpRISFhYUkLCQsLEUlJCkpISEpISopYWFJCwkJSQqJSQpKUsJSlhQkLCQsLCwlKUl' +
    'CQkJSlhYUsJCTBZFkGPYPB4HA4HCsBgsi/xg8HgMOwMzDbQQmZiAhMzFl1iEzMCiVTMLrITNVIXirr3vFi+EJmYoImZmFghMzBcTMzMDVomZgMJVUxQRZMzpAQnaqlOxCZ' +
    '0mGDVCZlLWCVYqpK2WhMzASlVTA2hOiqiAhNVUhiEzrOgQlVTUhFTMwsEJmYUJ1TUVMGhqnFVJRCVWqYEJVWKklCZmNAQmZjAjoVuh26Jbott8t0a3R7dIt0m3Srb7bpdu' +
    'mW6bbfrcn5XvVt3lu83d5ve7utmgBg1Aqqqp1dk5NGBgCVOZAACGgBZspgAKylmaRziZ7o0QGiElMzZSqqxiGiM5uZnOc1VVEERiNNttZmL6abbbVfGWDUBcQBVVVVqVQA' +
    'EmyABJyUiSCEAA3VLOmxNmVdhncQJJBDu60RMgO2mwzNnV6znNszNomYiZZmbViZiWd0s3d3bMzImoiZZ3xiEYJd3uUrxjFrWtsqqyznGWoC4gyKXze983bVMDFHOpJAGQ' +
    'hJJSOSQNSdEC9TeKs4dnjGiBBhnfSV3dXhnfNImooO4bDvjFiDBDu6Wbu7tndKbxVUzvEQGADMzXhKqqXd0pWl733NzciIznOdr5ygCgkGc5ve983vrnFkjAEAyUQBY0AB' +
    'palSGABIE6YAO76qhVUGd7zWru7ZmYAGIBd3SsTiqhmaGw7JKzd2Hd4gSCTDO6hCZIZ3tUru7ZmYAKIibbm5pnO2c5rOcpBIKCBe9173112yAKCABOTeSpk6JogBHUqQ11' +
    'FTMS7Vebu7t21UzjEyzqxMxLOlm7u7ZkTWJk4bDYjCIEGHa5SM3YZkQjJIZhjIgwQzFJZRGVBAFxqM3uve+Zza94xFREQjESTMrU51JIGjJAAAlTNWzJXTVVM8RAYAOyVK' +
    '7u2ZKbxVUzxEBgAzWoVVRZstjKF3vfGm5aI1iNIi1i8TfW+m5aRUXxnOVxqAwaAuvfN76CLRETmcTERhKYiIxtWamBgaMm0LSpB4kEkAMyViqoM6Su7u2YASAC7JCZiWe5' +
    'Su7t2ACABdpbDLJqol7G2MYxi1qVWtZztnLBoAbLAL3ve9E0gQskkVrM6kADRRAAzmdTgCGBlrCZwIuIBhmyrRurDoCoImHbGEIMEPapXd2z5U1iqpnxiwcEsyV3d3bPLJ' +
    'UMVVMwAxrbOds5bLAFhYCqqqrTS14i2IiIzeUQKJzK1JIBOiAADFKAA7Kbzd3bPpSqqjhwIEQBDMkgxqg7XKRq7DNgQMYADslkVVBmSV3d2zASQILPLRGtanWta1pkmSQG' +
    'zQCqqqqZNY0jO21YqYiEpiIjM5zJIA0JGdRd5mXbSWru7dgBIALukJmJZrVKqq8OygziZOHZWWEzDpZs3Vh2QFECWFGBQoZFLCpUoMYqLwOJeS9F7L4X0ci/DmX8wBgRWO' +
    'hgjBmEMKYYw46mIMSYoxZjB2HcxpjjHjwPI9GQMiZIpkQyb2Aj2MAiLDKi0AQEfRcAICKxWZczAtAEBM0ZsXrEREARcKhUAICZwcABASpjMZ0zw/GfNAPg+m6N2bwfjem+' +
    'N+P5AHAIE4JwiCOGQZCHEOKQpxiGOOcghzknKIgiSKIsjCNI45ZzDmkec4kCROeSR0DokmdI6ZIEiSRwjhnEOKcY45yDknKOWSZzCUJU5pzjnksS5MD0vG0njxHjPIeU8x' +
    '5z0E+UBQlEUZSHpKUpj1FOVBUnrKo9hVntPce8+B8SsPkVpXFeWBYnzLI+hZn1PsWh9y1LY/Bbn3KM/B+SkP0Up+z+DgiFMRZ/SnP8f8XckU4UJABlUcKA==',
);
const bzip2Zeros = base64('QlpoOTFBWSZTWabi8/QAJkvAAsAACAAACCAAMMwFKaapEUbAoijxdyRThQkKbi8/QA==');

const samples = { xz, 'xz of several blocks, sha256': xzBlocks, 'xz of other properties, crc32': xzProps, bzip2 } as const;

async function plain(bytes: Buffer, pieceBytes = bytes.length): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += pieceBytes) pieces.push(bytes.subarray(at, at + pieceBytes));
  const chunks: Uint8Array[] = [];
  for await (const chunk of decompress(pieces)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

for (const [name, sample] of Object.entries(samples)) {
  test(`decompress: ${name}, whole, in pieces, and one after another`, async () => {
    assert.equal(detectCompression(sample), name.startsWith('xz') ? 'xz' : 'bzip2');
    for (const size of [sample.length, 100, 7]) assert.ok((await plain(sample, size)).equals(text), `pieces of ${size}`);
    assert.ok((await plain(Buffer.concat([sample, sample]))).equals(Buffer.concat([text, text])));
  });

  test(`decompress: ${name} that is cut or damaged anywhere is told, never taken`, async () => {
    for (let at = 20; at < sample.length; at += 37)
      await assert.rejects(plain(sample.subarray(0, at)), { code: 'invalid' }, `cut at ${at}`);
    for (let at = 6; at < sample.length; at += 61) {
      const flipped = Buffer.from(sample);
      flipped[at] = (flipped[at] ?? 0) ^ 0x10;
      const outcome = await plain(flipped).catch((error: Error & { code?: string }) => error);
      if (outcome instanceof Error) assert.equal((outcome as { code?: string }).code, 'invalid', `${at}: ${outcome.message}`);
      else assert.ok(outcome.equals(text), `a wrong byte at ${at} was not seen`);
    }
    await assert.rejects(plain(Buffer.concat([sample, Buffer.from('more')])), { code: 'invalid' });
  });
}

test('SEC-6 a few bytes that stand for many do not fill memory while nobody takes them', async () => {
  const many = Buffer.concat(Array.from({ length: 200 }, () => bzip2Zeros));
  const stream = createBunzip2();
  const before = process.memoryUsage().rss;
  stream.end(many);
  await once(stream, 'readable');
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.ok(process.memoryUsage().rss - before < 200 * 1024 * 1024);
  stream.destroy();
});

test('SEC-6 an xz stream that wants a dictionary of gigabytes is refused', async () => {
  const huge = Buffer.from(xz);
  // The header of the first block: its filter's only property, then the checksum of the header.
  huge[12 + 4] = 40;
  const { crc32 } = await import('node:zlib');
  huge.writeUInt32LE(crc32(huge.subarray(12, 20)), 20);
  await assert.rejects(plain(huge), /dictionary of 4294967295 bytes/);
});

test('decompress: an empty xz or bzip2 stream is empty', async () => {
  assert.equal((await plain(base64('/Td6WFoAAATm1rRGAAAAABzfRCEftvN9AQAAAAAEWVo='))).length, 0);
  assert.equal((await plain(base64('QlpoORdyRThQkAAAAAA='))).length, 0);
  assert.ok(createUnxz());
});
