// What is found, the best first. PAGES, in index.js, has [title, address, kind, text, phrases] of every name, section
// and example; phrases are [words that people use for it, its place among the calls for them], from words.txt.
"use strict";

const NOISE = new Set("a an and at by can do does for from get how i in is it key keys my of on the to with"
    .split(" "));

function wordsOf(query) {
    return query.toLowerCase().split(/[\s,;?!"']+/).filter(word => word);
}

// How well a phrase is met: as it stands, while it is being typed, or by all words that say something, in any order.
function metBy(phrase, query, telling) {
    if (phrase === query) return 3;
    if (query.length > 3 && phrase.startsWith(query)) return 2;
    const words = phrase.split(" ");
    return telling.length && telling.every(word => words.some(w => w.startsWith(word))) ? 1 : 0;
}

function score(entry, query, words, telling) {
    const title = entry[0].toLowerCase(), text = " " + entry[3].toLowerCase();
    let said = 0, sum = 0;
    for (const [phrase, place] of entry[4] || []) {
        const how = metBy(phrase, query, telling);
        if (how) said = Math.max(said, how * 1000000 - place * 100000);
    }
    for (const word of words) {
        let found = 0;
        if (title === word) found = words.length === 1 ? 40000 : 100;
        else if (title.startsWith(word)) found = 40;
        else if (title.includes("_" + word) || title.includes(" " + word)) found = 30;
        else if (title.includes(word)) found = 20;
        else if (text.includes(" " + word)) found = 6;
        else if (text.includes(word)) found = 2;
        if (!found) return said;
        sum += found;
    }
    return said + sum * 100 - Math.min(title.length, 90);
}

function ranked(pages, text) {
    const all = wordsOf(text), telling = all.filter(word => !NOISE.has(word)), words = telling.length ? telling : all;
    const found = pages.map(entry => [score(entry, all.join(" "), words, telling), entry]).filter(pair => pair[0] > 0);
    return found.sort((a, b) => b[0] - a[0]).map(pair => pair[1]);
}
