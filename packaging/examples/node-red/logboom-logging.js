'use strict';

// Sends Node-RED's log to Logboom: every node.error(), node.warn(), node.log(), and what Node-RED itself says, with level,
// flow and node, and without a change to any flow. In settings.js:
//
//     logging: {
//         console: { level: 'info' },
//         logboom: {
//             level: 'info', metrics: false, audit: false,
//             handler: require('/usr/share/logboom/examples/node-red/logboom-logging.js'),
//             url: 'http://127.0.0.1:8004/ingest'      // or 'unix:/run/logboom/logboom.sock'
//         }
//     }
//
// Never blocks a flow and never throws. While Logboom is away, logs wait in memory, at most `queueRecords` and `queueBytes` of
// them; beyond that the oldest go, and how many went is sent once Logboom is back. A request that got no answer is sent again
// with the same Idempotency-Key, so each log counts once. No packages are needed; Node.js 18 or later.

const http = require('node:http');
const https = require('node:https');
const { randomUUID } = require('node:crypto');

const LEVELS = { 10: 'fatal', 20: 'error', 30: 'warn', 40: 'info', 50: 'debug', 60: 'trace', 98: 'info', 99: 'debug' };

const DEFAULTS = {
    url: 'http://127.0.0.1:8004/ingest',
    token: '',              // sent as "Authorization: Bearer …" when set
    source: 'node-red',
    queueRecords: 10000,    // logs that wait at most
    queueBytes: 4 << 20,
    batchRecords: 500,      // logs of one request at most
    batchBytes: 256 << 10,
    lingerMs: 1000,         // how long a log waits for company
    timeoutMs: 40000,       // Logboom itself answers within 30 s
    retryBaseMs: 250,       // pauses double from here, drawn from zero up (full jitter) ...
    retryCeilingMs: 30000   // ... to here
};

// One log of Node-RED as a record of Logboom. `msg.msg` is a text, an Error, or anything a function node passed.
function toRecord(msg, source) {
    let message;
    if (msg.msg instanceof Error) {
        message = msg.msg.stack || String(msg.msg);
    } else if (msg.msg === undefined && msg.event !== undefined) {
        message = `${msg.event} ${msg.value === undefined ? '' : msg.value}`.trim();
    } else if (typeof msg.msg === 'object' && msg.msg !== null) {
        message = typeof msg.msg.message === 'string' ? msg.msg.message : JSON.stringify(msg.msg);
    } else {
        message = String(msg.msg);
    }
    const metadata = {};
    for (const [name, value] of [['flow_id', msg.z], ['node_id', msg.id || msg.nodeid], ['node_type', msg.type], ['node_name', msg.name]]) {
        if (value !== undefined && value !== '') metadata[name] = String(value);
    }
    return { message, level: LEVELS[msg.level] || 'info', source, timestamp: msg.timestamp || Date.now(), metadata };
}

class Sender {
    constructor(options) {
        this.options = { ...DEFAULTS };
        for (const name of Object.keys(DEFAULTS)) {
            if (options && options[name] !== undefined) this.options[name] = options[name];
        }
        this.target = this.parse(this.options.url);
        const Agent = this.target.isSecure ? https.Agent : http.Agent;
        this.agent = new Agent({ keepAlive: true, maxSockets: 1 });
        this.queue = [];            // records as JSON texts
        this.queuedBytes = 0;
        this.batch = null;          // { key, body, count }: unchanged until it is answered
        this.failures = 0;
        this.timer = null;
        this.timerAt = Infinity;
        this.dropped = 0;           // since Logboom was last told
        this.counts = { queued: 0, sent: 0, failed: 0, dropped: 0, retries: 0 };
        this.waiting = [];
    }

    parse(url) {
        if (url.startsWith('unix:')) return { isSecure: false, options: { socketPath: url.slice(5), path: '/ingest' } };
        const { protocol, hostname, port, pathname } = new URL(url);
        return {
            isSecure: protocol === 'https:',
            options: { hostname: hostname.replace(/^\[|\]$/g, ''), port: port || undefined, path: pathname === '/' ? '/ingest' : pathname }
        };
    }

    push(record) {
        this.enqueue(JSON.stringify(record));
        this.counts.queued += 1;
        this.schedule(this.queue.length >= this.options.batchRecords ? 0 : this.options.lingerMs);
    }

    enqueue(text) {
        this.queue.push(text);
        this.queuedBytes += text.length;
        while (this.queue.length > 1 && (this.queue.length > this.options.queueRecords || this.queuedBytes > this.options.queueBytes)) {
            this.queuedBytes -= this.queue.shift().length;
            this.dropped += 1;
            this.counts.dropped += 1;
        }
    }

    // Wakes up after `ms`, or earlier if that was asked before. While a request is under way nothing is to do; after a
    // failure the pause counts, not who comes next.
    schedule(ms, isRetry = false) {
        if (this.isSending || (this.failures > 0 && !isRetry)) return;
        const at = Date.now() + ms;
        if (this.timer && this.timerAt <= at) return;
        clearTimeout(this.timer);
        this.timerAt = at;
        this.timer = setTimeout(() => {
            this.timer = null;
            this.timerAt = Infinity;
            this.send();
        }, ms);
        this.timer.unref(); // a log must not keep a process alive
    }

    send() {
        if (this.isSending) return;
        if (!this.batch) this.batch = this.takeBatch();
        if (!this.batch) return this.settle();
        this.isSending = true;
        const body = Buffer.from(this.batch.body);
        const headers = {
            'Content-Type': 'application/x-ndjson', 'Content-Length': body.length, 'Idempotency-Key': this.batch.key
        };
        if (this.options.token) headers.Authorization = `Bearer ${this.options.token}`;
        const request = (this.target.isSecure ? https : http).request(
            { ...this.target.options, method: 'POST', agent: this.agent, headers, timeout: this.options.timeoutMs },
            (response) => {
                const chunks = [];
                response.on('data', (chunk) => chunks.push(chunk));
                response.on('end', () => this.answered(response.statusCode, response.headers['retry-after'], Buffer.concat(chunks)));
                response.on('error', (error) => this.retry(error.code || error.message));
            }
        );
        request.on('timeout', () => request.destroy(new Error('no answer in time')));
        request.on('error', (error) => this.retry(error.code || error.message));
        request.end(body);
    }

    takeBatch() {
        if (this.dropped > 0) {
            const message = `${this.dropped} logs were dropped while Logboom was away`;
            this.queue.unshift(JSON.stringify({ message, level: 'warn', source: this.options.source }));
            this.queuedBytes += this.queue[0].length;
            this.dropped = 0;
        }
        let count = 0;
        let bytes = 0;
        while (count < this.queue.length && count < this.options.batchRecords) {
            if (count > 0 && bytes + this.queue[count].length > this.options.batchBytes) break;
            bytes += this.queue[count].length;
            count += 1;
        }
        if (count === 0) return null;
        const records = this.queue.splice(0, count);
        this.queuedBytes -= bytes;
        return { key: randomUUID(), body: records.join('\n') + '\n', count };
    }

    answered(status, retryAfter, body) {
        if (!this.isSending) return;
        if (status === 408 || status === 429 || status >= 500) return this.retry(`status ${status}`, Number(retryAfter));
        this.isSending = false;
        const count = this.batch.count;
        this.batch = null;
        if (this.failures > 0) this.say('Logboom takes logs again');
        this.failures = 0;
        let failed = status >= 300 ? count : 0;
        if (status < 300) {
            try { failed = JSON.parse(body).failed || 0; } catch { failed = 0; }
        }
        this.counts.sent += count - failed;
        this.counts.failed += failed;
        // Sent again it would be refused again.
        if (status >= 300) this.say(`Logboom refused ${count} logs with status ${status}`);
        if (this.queue.length > 0 || this.dropped > 0) this.schedule(this.waiting.length > 0 || this.queue.length >= this.options.batchRecords ? 0 : this.options.lingerMs);
        else this.settle();
    }

    retry(reason, retryAfterSeconds) {
        if (!this.isSending) return;
        this.isSending = false;
        this.failures += 1;
        this.counts.retries += 1;
        if (this.failures === 1) this.say(`Logboom does not answer (${reason}); logs wait in memory`);
        const ceiling = Math.min(this.options.retryCeilingMs, this.options.retryBaseMs * 2 ** Math.min(this.failures - 1, 20));
        const least = retryAfterSeconds > 0 ? Math.min(retryAfterSeconds * 1000, this.options.retryCeilingMs) : 10;
        this.schedule(Math.max(least, Math.random() * ceiling), true);
    }

    // Not through Node-RED's log: it would come back here.
    say(text) {
        try { process.stderr.write(`logboom-logging: ${text}\n`); } catch { /* nobody is there to be told */ }
    }

    settle() {
        for (const done of this.waiting.splice(0)) done();
    }

    flush() {
        return new Promise((done) => {
            this.waiting.push(done);
            // Keeps the process alive until all is sent.
            const alive = setInterval(() => {}, 1000);
            this.waiting.push(() => clearInterval(alive));
            if (this.failures === 0) this.schedule(0);
        });
    }
}

// What Node-RED calls: with the block of settings.js, for a function that gets each log.
module.exports = function logboomLogging(settings) {
    const sender = new Sender(settings);
    const handler = (msg) => {
        try {
            sender.push(toRecord(msg, sender.options.source));
        } catch (error) {
            sender.say(`a log could not be read: ${error.message}`);
        }
    };
    // For programs that want to wait, and for tests: a promise that all was answered, and what became of the logs.
    handler.flush = () => sender.flush();
    handler.counts = () => ({ ...sender.counts, waiting: sender.queue.length + (sender.batch ? sender.batch.count : 0) });
    return handler;
};
