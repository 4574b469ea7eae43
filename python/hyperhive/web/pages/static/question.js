// A question that an agent asked: its options, always a free text, and what happens when nobody answers.

import { Button, Problem, SureButton, useAction } from "./actions.js";
import { answerQuestion, cancelQuestion } from "./api.js";
import { html, useEffect, useRef, useState } from "./page.js";
import { Inline, Passage } from "./text.js";
import { Age } from "./time.js";

export function Question({ question, session }) {
  const [run, pending, error, forget] = useAction();
  const [choices, setChoices] = useState([]);
  const [text, setText] = useState("");
  const [empty, setEmpty] = useState(false);
  const { id, options, multi, deadline, default: fallback } = question;
  const form = useRef(null);
  const field = useRef(null);
  useEffect(() => setEmpty(false), [choices, text]);
  const choose = (option, on) => setChoices(multi ? choices.filter((each) => each !== option).concat(on ? [option] : []) : [option]);
  const submit = (event) => {
    event?.preventDefault();
    if (choices.length || text.trim()) run("answer", () => session.do(() => answerQuestion(id, { choices, text: text.trim() })));
    else {
      setEmpty(true);
      (form.current.querySelector("input") ?? field.current).focus();
    }
  };
  const keys = (event) => {
    if (event.isComposing || event.keyCode === 229 || event.key !== "Enter" || event.shiftKey) return;
    event.preventDefault();
    submit();
  };
  return html`<form class="question" ref=${form} onSubmit=${submit} onKeyDown=${(event) => event.target.type === "radio" || event.target.type === "checkbox" ? keys(event) : undefined}>
    <${Passage} text=${question.text} />
    ${options.length > 0 &&
    html`<fieldset>
      <legend class="unseen">${multi ? "Choose any" : "Choose one"}</legend>
      ${options.map(
        (option, index) => html`<label key=${index} class="choice">
          <input
            type=${multi ? "checkbox" : "radio"}
            name=${`question-${id}`}
            checked=${choices.includes(option)}
            onChange=${(event) => choose(option, event.target.checked)}
          />
          <${Inline} text=${option} />
        </label>`,
      )}
    </fieldset>`}
    <div class="answer-row">
      <textarea
        ref=${field}
        rows="1"
        dir="auto"
        aria-label="Answer in your own words"
        placeholder=${options.length ? "or in your own words" : "your answer"}
        value=${text}
        onInput=${(event) => setText(event.target.value)}
        onKeyDown=${keys}
      ></textarea>
      <button class="primary" aria-disabled=${String(Boolean(pending))}>${pending === "answer" ? "Answering…" : "Answer"}</button>
    </div>
    <div class="small deadline">
      ${deadline &&
      html`<span>
        <${Age} at=${deadline} until=${true} /> left${fallback !== undefined && fallback !== null ? html`, then the answer is “<${Inline} text=${fallback} />”` : ", then it expires"}
      </span>`}
      <${SureButton} class="quiet" off=${pending} question="Really cancel?" onPress=${() => run("cancel", () => session.do(() => cancelQuestion(id)))}>
        ${pending === "cancel" ? "Cancelling…" : "Cancel question"}
      <//>
    </div>
    ${empty && html`<p class="problem small" role="alert">Choose an option or write an answer.</p>`}
    <${Problem} error=${error} onForget=${forget} />
  </form>`;
}
