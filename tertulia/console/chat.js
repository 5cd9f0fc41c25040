// The chat in the browser. All that is written is shown as text. What is sent is kept here until the server has taken
// it, and is sent again under its id where it has not: the page may be closed at any time.

const NEAR_THE_END_PX = 120;
// Within this time no message needs a clock of its own.
const ONE_SITTING_MS = 10 * 60 * 1000;
const YES_OR_NO = ["Yes", "No"];

function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function timeOf(message) {
  const at = new Date(message.created_at);
  const sameDay = at.toDateString() === new Date().toDateString();
  return at.toLocaleString([], sameDay ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" });
}

export default {
  props: {
    title: String,
    language: String,
    place: String, // where the browser keeps this chat
    longest: Number,
  },
  emits: ["hello", "say", "earlier", "undo", "stop", "restart"],

  template: `
    <main class="chat" :class="{ 'chat--closed': closed }">
      <header class="chat-head">
        <div class="chat-who">
          <span class="chat-mark" aria-hidden="true"></span>
          <h1>{{ title }}</h1>
          <span v-if="human" class="chat-human">You are talking with a person</span>
        </div>
        <div v-if="progress && !closed" class="chat-progress">
          <span id="progress-text">{{ progress.number }} of {{ progress.total }}</span>
          <span class="bar" role="progressbar" aria-labelledby="progress-text" aria-valuemin="1"
                :aria-valuenow="progress.number" :aria-valuemax="progress.total">
            <span :style="{ width: done + '%' }"></span>
          </span>
        </div>
        <details class="chat-menu" ref="menu">
          <summary aria-label="More"><span aria-hidden="true">⋮</span></summary>
          <div>
            <button type="button" @click="copyLink">Continue on another device</button>
            <button type="button" @click="restart">Start a new conversation</button>
          </div>
        </details>
      </header>

      <div class="chat-scroll" ref="scroll" @scroll.passive="scrolled">
        <div class="chat-column">
          <button v-if="more" type="button" class="chat-earlier" @click="askEarlier">Earlier messages</button>
          <p v-if="!begun" class="chat-opening" role="status">Opening the conversation …</p>
          <div role="log" aria-live="polite" aria-label="Conversation" :lang="language">
            <article v-for="(message, index) in messages" :key="message.seq" class="said" :class="'said--' + message.role">
              <span class="sr-only">{{ speaker(message) }}: </span>
              <p>{{ message.text }}</p>
              <button v-if="message.seq === undoable" type="button" class="said-undo" @click="undo">Change this</button>
              <time v-if="endsSitting(index)" :datetime="message.created_at">{{ time(message) }}</time>
            </article>
          </div>
          <article v-for="mine in unheard" :key="mine.id" class="said said--user said--unheard" :lang="language">
            <span class="sr-only">You: </span>
            <p>{{ mine.text }}</p>
            <span v-if="mine.problem" class="said-problem" role="alert">
              {{ mine.problem }} <button type="button" @click="again(mine)">Send again</button>
            </span>
            <span v-else-if="!mine.taken" class="said-sending">Sending …</span>
          </article>
          <article v-if="writing" class="said said--assistant said--writing" aria-hidden="true" :lang="language">
            <p v-if="writing.text">{{ writing.text }}</p>
            <p v-else class="dots"><i></i><i></i><i></i></p>
          </article>
          <p class="sr-only" role="status">{{ status }}</p>
          <p v-if="waiting" class="chat-waiting">This takes a little longer than usual. You need not wait here: the answer will be in this chat.</p>
        </div>
      </div>
      <button v-if="!atEnd" type="button" class="chat-down" @click="toEnd" aria-label="To the newest message">↓</button>

      <footer class="chat-foot">
        <div class="chat-column">
          <p v-if="notice" class="chat-notice" role="status">{{ notice }}</p>
          <div v-if="closed" class="chat-over">
            <span>This conversation has ended.</span>
            <button type="button" class="primary" @click="restart">Start a new one</button>
          </div>
          <template v-else>
            <div v-if="!busy && (quick.length || expects.optional)" class="chat-quick" role="group" aria-label="Answers to choose from">
              <button v-for="choice in quick" :key="choice" type="button" :class="{ chosen: chosen.includes(choice) }"
                      :aria-pressed="several ? chosen.includes(choice) : null" @click="choose(choice)">{{ choice }}</button>
              <button v-if="several && chosen.length" type="button" class="primary" @click="say(chosen.join(', '))">Send these</button>
              <button v-if="expects.optional" type="button" class="quiet" @click="say('skip')">Skip</button>
            </div>
            <form v-if="!busy && expects.type === 'date'" class="chat-date" @submit.prevent="sayDay">
              <label>Choose a day <input type="date" v-model="day" :min="expects.earliest" :max="expects.latest" required /></label>
              <button type="submit" class="primary" :disabled="!day">Send this day</button>
            </form>
            <label v-if="!busy && expects.type === 'document'" class="chat-file" :class="{ 'chat-file--busy': reading }">
              <input type="file" class="sr-only" accept=".pdf,.docx,.txt" :disabled="reading" @change="handOver" />
              {{ reading ? "Reading the file …" : "Choose a file (PDF, Word or text)" }}
            </label>
            <form class="chat-compose" @submit.prevent="say(draft)">
              <label class="sr-only" for="draft">{{ hint }}</label>
              <textarea id="draft" ref="draft" rows="1" v-model="draft" :placeholder="hint" :maxlength="longest"
                        :autocomplete="autocomplete" :lang="language" enterkeyhint="send" @keydown.enter="entered"></textarea>
              <button v-if="busy && writing" type="button" class="stop" @click="$emit('stop')" aria-label="Stop the answer">■</button>
              <button type="submit" class="primary" :disabled="!draft.trim() || !begun" aria-label="Send">
                <svg viewBox="0 0 24 24" aria-hidden="true"><path d="M4 20l17-8L4 4l0 6 10 2-10 2z" /></svg>
              </button>
            </form>
          </template>
        </div>
      </footer>
    </main>`,

  data() {
    return {
      begun: false,
      messages: [],
      more: false,
      unheard: [], // written here, and not in the transcript yet
      writing: null,
      waiting: false,
      expects: {},
      progress: null,
      closed: false,
      human: false,
      notice: "",
      status: "",
      draft: "",
      day: "",
      chosen: [],
      atEnd: true,
      undoing: false,
      reading: false,
    };
  },

  computed: {
    done() {
      const answered = this.expects.kind === "answer" ? this.progress.number - 1 : this.progress.number;
      return Math.round((100 * answered) / this.progress.total);
    },
    busy() {
      return this.writing !== null || this.unheard.some((mine) => !mine.problem);
    },
    undoable() {
      const last = this.messages.findLast((message) => message.role === "user");
      return this.busy || this.undoing || this.closed || this.human ? null : last?.seq;
    },
    several() {
      return this.expects.type === "multi_choice";
    },
    quick() {
      if (this.expects.kind === "retry") return ["Try again"];
      if (this.expects.kind !== "answer") return [];
      return this.expects.type === "boolean" ? YES_OR_NO : this.expects.choices;
    },
    hint() {
      return this.expects.kind === "answer" && this.expects.example ? "For example: " + this.expects.example : "Write a message";
    },
    autocomplete() {
      return { name: "name", email: "email", phone: "tel" }[this.expects.type] ?? "off";
    },
  },

  mounted() {
    const kept = this.kept();
    this.draft = kept.draft ?? "";
    const invited = /^#continue=([\w.-]+)$/.exec(window.location.hash);
    if (invited) history.replaceState(null, "", window.location.pathname + window.location.search);
    this.$emit("hello", { ticket: invited?.[1] ?? kept.ticket ?? null });
    // Whatever takes its room, the keyboard say: who was at the end stays there.
    this.room = new ResizeObserver(() => this.atEnd && this.toEnd());
    this.room.observe(this.$refs.scroll);
  },

  unmounted() {
    this.room.disconnect();
  },

  watch: {
    draft(text) {
      this.keep({ draft: text });
      this.$nextTick(this.grow);
    },
  },

  methods: {
    // --- called by the server ---------------------------------------------------------------------------------------
    begin({ ticket, messages, more, standing }) {
      const { ticket: before, outbox = [] } = this.kept();
      this.keep({ ticket, outbox: before === ticket || before === undefined ? outbox : [] });
      Object.assign(this, { messages, more, begun: true, unheard: [], writing: null, notice: "" });
      this.stand(standing);
      for (const mine of this.kept().outbox) {
        if (!messages.some((message) => message.message_id === mine.id)) this.send(mine);
        else this.forget(mine.id);
      }
      this.$nextTick(() => {
        this.toEnd();
        // On a phone the keyboard would hide the greeting.
        if (window.matchMedia("(pointer: fine)").matches) this.$refs.draft?.focus();
      });
    },
    stand({ expects, progress, closed, human }) {
      Object.assign(this, { expects, progress, closed, human, chosen: [], day: "", undoing: false });
    },
    add(messages) {
      for (const message of messages) {
        if (this.messages.some((known) => known.seq === message.seq)) continue;
        this.messages.push(message);
        if (message.message_id) this.unheard = this.unheard.filter((mine) => mine.id !== message.message_id);
      }
      this.follow();
    },
    prepend(messages, more) {
      const { scrollHeight } = this.$refs.scroll;
      this.messages.unshift(...messages);
      this.more = more;
      this.$nextTick(() => (this.$refs.scroll.scrollTop += this.$refs.scroll.scrollHeight - scrollHeight));
    },
    taken(id) {
      this.forget(id);
      const mine = this.unheard.find((other) => other.id === id);
      if (mine) mine.taken = true;
    },
    refused(id, problem) {
      const mine = this.unheard.find((other) => other.id === id);
      if (mine) mine.problem = problem;
    },
    write(piece) {
      this.waiting = false;
      this.status = "The assistant is writing";
      const shown = this.writing?.attempt === piece.attempt ? this.writing.text.slice(0, piece.offset) : "";
      this.writing = { attempt: piece.attempt, text: shown + piece.text };
      this.follow();
    },
    think() {
      this.writing ??= { attempt: 0, text: "" };
      this.status = "The assistant is writing";
      this.follow();
    },
    wait() {
      this.waiting = true;
      this.follow();
    },
    restore(messages) {
      const [first] = messages;
      this.messages = [...this.messages.filter((message) => first && message.seq < first.seq), ...messages];
      this.follow();
    },
    rest(standing) {
      Object.assign(this, { writing: null, waiting: false, status: "", notice: "" });
      this.stand(standing);
      this.follow();
    },
    tell(notice) {
      this.notice = notice;
      this.undoing = false;
    },

    // --- writing ----------------------------------------------------------------------------------------------------
    entered(event) {
      // While an input method composes a character, Enter ends that.
      if (event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.say(this.draft);
    },
    say(text) {
      if (!text.trim() || !this.begun) return;
      if (text === "Try again" && this.expects.kind === "retry") text = this.lastSaid() ?? text;
      const mine = { id: newId(), text };
      this.keep({ outbox: [...this.kept().outbox, mine] });
      if (text === this.draft) this.draft = "";
      this.chosen = [];
      this.send(mine);
    },
    sayDay() {
      this.say(this.day);
    },
    async handOver(event) {
      const [file] = event.target.files;
      if (!file) return;
      this.reading = true;
      this.notice = "";
      try {
        const response = await fetch("/chat/resume", {
          method: "POST",
          headers: { "X-Ticket": this.kept().ticket },
          body: file,
        });
        if (!response.ok) this.notice = (await response.json()).problem ?? "This file is too large.";
      } catch {
        this.notice = "The file could not be sent. Please try again.";
      } finally {
        this.reading = false;
        event.target.value = "";
      }
    },
    choose(choice) {
      if (!this.several) this.say(choice);
      else if (this.chosen.includes(choice)) this.chosen = this.chosen.filter((other) => other !== choice);
      else this.chosen.push(choice);
    },
    send(mine) {
      this.unheard.push({ ...mine, taken: false, problem: "" });
      this.$emit("say", { text: mine.text, message_id: mine.id });
      this.$nextTick(this.toEnd);
    },
    again(mine) {
      this.unheard = this.unheard.filter((other) => other.id !== mine.id);
      this.send({ id: mine.id, text: mine.text });
    },
    undo() {
      // What was said comes back into the field, to be said better.
      this.undoing = true;
      this.draft ||= this.lastSaid();
      this.$emit("undo");
      this.$refs.draft?.focus();
    },
    lastSaid() {
      return this.messages.findLast((message) => message.role === "user")?.text;
    },
    grow() {
      const field = this.$refs.draft;
      if (!field) return;
      field.style.height = "";
      if (this.draft) field.style.height = field.scrollHeight + "px";
    },

    // --- reading ----------------------------------------------------------------------------------------------------
    speaker(message) {
      return { user: "You", assistant: "Assistant", operator: "Recruiter" }[message.role] ?? "Note";
    },
    endsSitting(index) {
      const next = this.messages[index + 1];
      return !next || new Date(next.created_at) - new Date(this.messages[index].created_at) > ONE_SITTING_MS;
    },
    time: timeOf,
    askEarlier() {
      this.$emit("earlier", { before: this.messages[0].seq });
    },
    scrolled() {
      const { scrollHeight, scrollTop, clientHeight } = this.$refs.scroll;
      this.atEnd = scrollHeight - scrollTop - clientHeight < NEAR_THE_END_PX;
    },
    follow() {
      if (this.atEnd) this.$nextTick(this.toEnd);
    },
    toEnd() {
      const { scroll } = this.$refs;
      if (scroll) scroll.scrollTop = scroll.scrollHeight;
      this.atEnd = true;
    },

    // --- the conversation as a whole --------------------------------------------------------------------------------
    restart() {
      this.$refs.menu.open = false;
      this.keep({ ticket: null, outbox: [], draft: "" });
      this.draft = "";
      this.begun = false;
      this.$emit("restart");
    },
    async copyLink() {
      this.$refs.menu.open = false;
      // Behind the # nothing reaches a server's log.
      const link = window.location.href.split("#")[0] + "#continue=" + this.kept().ticket;
      try {
        await navigator.clipboard.writeText(link);
        this.notice = "The link is copied. Whoever has it can read and continue this conversation.";
      } catch {
        this.notice = link;
      }
    },

    // --- what the browser keeps -------------------------------------------------------------------------------------
    kept() {
      try {
        return { outbox: [], ...JSON.parse(localStorage.getItem(this.place) ?? "{}") };
      } catch {
        return { outbox: [], ...this.inMemory };
      }
    },
    keep(changes) {
      this.inMemory = { ...this.kept(), ...changes };
      try {
        localStorage.setItem(this.place, JSON.stringify(this.inMemory));
      } catch {
        // A browser that keeps nothing: the chat lasts as long as the page.
      }
    },
    forget(id) {
      this.keep({ outbox: this.kept().outbox.filter((mine) => mine.id !== id) });
    },
  },
};
