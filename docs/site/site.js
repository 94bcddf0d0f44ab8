// The list of what was found, as one types, and the menu, open where there is room for it.
"use strict";
(function () {
    const side = document.querySelector(".side"), wide = matchMedia("(min-width: 60em)");
    const unfold = () => { side.open = wide.matches; };
    wide.addEventListener("change", unfold);
    unfold();
    const here = location.pathname.split("/").pop() || "index.html";
    for (const a of side.querySelectorAll("a")) {
        if (a.getAttribute("href") !== here) continue;
        a.classList.add("here");
        a.closest("details").open = true;
        if (wide.matches) side.scrollTop = Math.max(0, a.offsetTop - side.clientHeight / 2);
    }

    const form = document.getElementById("search");
    const input = form.querySelector("input"), list = form.querySelector("ol");
    let chosen = -1;

    function marked(text, words) {
        const span = document.createElement("span"), low = text.toLowerCase();
        let at = 0;
        while (at < text.length) {
            let next = -1, size = 0;
            for (const word of words) {
                const i = low.indexOf(word, at);
                if (i >= 0 && (next < 0 || i < next)) { next = i; size = word.length; }
            }
            if (next < 0) break;
            span.append(text.slice(at, next));
            const mark = document.createElement("mark");
            mark.textContent = text.slice(next, next + size);
            span.append(mark);
            at = next + size;
        }
        span.append(text.slice(at));
        return span;
    }

    function excerpt(text, words) {
        const at = Math.max(0, ...words.map(word => text.toLowerCase().indexOf(word)));
        const from = at < 40 ? 0 : text.lastIndexOf(" ", at - 30) + 1;
        return text.slice(from, from + 160);
    }

    function show() {
        const words = wordsOf(input.value);
        list.replaceChildren();
        list.hidden = !words.length;
        chosen = -1;
        if (!words.length) return;
        const found = ranked(PAGES, input.value);
        for (const entry of found.slice(0, 30)) {
            const item = document.createElement("li"), a = document.createElement("a");
            const small = document.createElement("small");
            a.href = entry[1];
            a.append(marked(entry[0], words), " ");
            small.append(entry[2] + ": ", marked(excerpt(entry[3], words), words));
            a.append(small);
            item.append(a);
            list.append(item);
        }
        if (!found.length) list.innerHTML = "<li><p>Nothing has all of these words.</p></li>";
    }

    function choose(step) {
        const all = list.querySelectorAll("a");
        if (!all.length) return;
        if (chosen >= 0) all[chosen].classList.remove("on");
        chosen = (chosen + step + all.length) % all.length;
        all[chosen].classList.add("on");
        all[chosen].scrollIntoView({ block: "nearest" });
    }

    input.addEventListener("input", show);
    form.addEventListener("keydown", event => {
        if (event.key === "ArrowDown" || event.key === "ArrowUp") {
            choose(event.key === "ArrowDown" ? 1 : -1);
            event.preventDefault();
        } else if (event.key === "Escape") {
            input.value = "";
            show();
        } else if (event.key === "Enter") {
            const a = list.querySelectorAll("a")[Math.max(chosen, 0)];
            if (a) location.href = a.href;
        }
    });
    document.addEventListener("click", event => { if (!form.contains(event.target)) list.hidden = true; });
    list.addEventListener("click", () => { list.hidden = true; });
    document.addEventListener("keydown", event => {
        if (event.key === "/" && document.activeElement !== input) {
            input.focus();
            event.preventDefault();
        }
    });
    const asked = new URLSearchParams(location.search).get("q");
    if (asked) { input.value = asked; show(); }
})();
