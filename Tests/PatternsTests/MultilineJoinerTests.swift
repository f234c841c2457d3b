import LogModel
import Patterns
import PipelineTesting
import Testing

/// A joiner with a clock of its own, that keeps what left.
private struct JoinerBench: ~Copyable {
    struct Left: Equatable {
        var text: String
        var source: UInt64
        var tag: UInt64
        var lineCount: Int
    }

    var joiner = MultilineJoiner()
    var now = MonotonicTime(nanoseconds: 1_000_000_000)
    var left: [Left] = []
    private var nextTag: UInt64 = 0

    @discardableResult
    mutating func line(_ text: String, source: UInt64 = 1) -> MultilineJoiner.Action {
        nextTag += 1
        var gone: [Left] = []
        let action = Array(text.utf8).withUnsafeBufferPointer { view in
            joiner.accept(view, source: source, tag: nextTag, now: now) { gone.append(Self.copy($0)) }
        }
        left += gone
        return action
    }

    mutating func lines(_ text: String, source: UInt64 = 1) {
        for part in text.split(separator: "\n", omittingEmptySubsequences: false) { line(String(part), source: source) }
    }

    mutating func pass(_ duration: Duration) {
        now = now.advanced(by: duration)
        var gone: [Left] = []
        joiner.expire(now: now) { gone.append(Self.copy($0)) }
        left += gone
    }

    mutating func flush() {
        var gone: [Left] = []
        joiner.flush { gone.append(Self.copy($0)) }
        left += gone
    }

    private static func copy(_ joined: MultilineJoiner.Joined) -> Left {
        Left(
            text: String(decoding: joined.text, as: UTF8.self),
            source: joined.source,
            tag: joined.tag,
            lineCount: joined.lineCount
        )
    }
}

/// One trace of each kind as a program prints it; none may be torn, and none may take the ordinary line behind it.
private let traces: [(name: String, text: String)] = [
    (
        "Python",
        """
        Traceback (most recent call last):
          File "/srv/app/main.py", line 12, in <module>
            run()
          File "/srv/app/main.py", line 8, in run
            return int("x")
                   ^^^^^^^^
        ValueError: invalid literal for int() with base 10: 'x'
        """
    ),
    (
        "Python, chained",
        """
        Traceback (most recent call last):
          File "/srv/app/db.py", line 3, in get
            return table[key]
        KeyError: 'lamp'

        During handling of the above exception, another exception occurred:

        Traceback (most recent call last):
          File "/srv/app/main.py", line 9, in run
            get("lamp")
        app.errors.NotFound: no such device

        The above exception was the direct cause of the following exception:

        Traceback (most recent call last):
          File "/srv/app/main.py", line 20, in main
            raise SystemError from error
        SystemError
        """
    ),
    (
        "Python, a message of several lines",
        """
        Traceback (most recent call last):
          File "x.py", line 1, in <module>
        sqlalchemy.exc.OperationalError: (OperationalError) no such table
          [SQL: SELECT 1
           FROM x]
        """
    ),
    (
        "Java",
        """
        Exception in thread "main" java.lang.IllegalStateException: broken
        \tat org.example.Main.run(Main.java:12)
        \tat org.example.Main.main(Main.java:5)
        \tSuppressed: java.io.IOException: close
        \t\tat org.example.Main.close(Main.java:40)
        Caused by: java.io.FileNotFoundException: /etc/x.conf (No such file or directory)
        \tat java.base/java.io.FileInputStream.open0(Native Method)
        \t... 12 more
        """
    ),
    (
        "Java, logged without the thread",
        """
        java.lang.NullPointerException
        \tat org.example.Device$1.run(Device.java:77)
        Caused by: org.example.BusException: no answer
        \t... 3 more
        """
    ),
    (
        "Node.js",
        """
        TypeError: Cannot read properties of undefined (reading 'state')
            at Lamp.update (/opt/node-red/lamp.js:31:18)
            at process.processTicksAndRejections (node:internal/process/task_queues:95:5)
        """
    ),
    (
        "Node.js, uncaught with the source line",
        """
        /opt/flows/start.js:10
            throw new Error("no broker")
            ^

        Error: no broker
            at Object.<anonymous> (/opt/flows/start.js:10:11)
            at node:internal/main/run_main_module:28:49 {
          code: 'ENOBROKER',
          errno: -111
        }

        Node.js v20.11.1
        """
    ),
    (
        "Go",
        """
        panic: runtime error: index out of range [5] with length 3

        goroutine 1 [running]:
        main.(*Reader).next(0xc000012345, {0xc00001, 0x3, 0x3})
        \t/home/pi/src/reader.go:42 +0x1d
        main.main()
        \t/home/pi/src/main.go:7 +0x25
        created by main.start in goroutine 1
        \t/home/pi/src/main.go:19 +0x9a
        exit status 2
        """
    ),
    (
        "Go, a signal",
        """
        fatal error: unexpected signal during runtime execution
        [signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x45f1a2]

        runtime stack:
        runtime.throw({0x4b2a1c?, 0x0?})
        \t/usr/local/go/src/runtime/panic.go:1047 +0x5d

        goroutine 18 [select, 3 minutes]:
        net/http.(*persistConn).writeLoop(0xc0001b4000)
        \t/usr/local/go/src/net/http/transport.go:2410 +0xf2
        """
    ),
    (
        "Rust",
        """
        thread 'main' panicked at src/main.rs:4:5:
        index out of bounds: the len is 3 but the index is 99
        stack backtrace:
           0: rust_begin_unwind
                     at /rustc/9fc6b431/library/std/src/panicking.rs:665:5
           1: core::panicking::panic_fmt
        note: Some details are omitted, run with `RUST_BACKTRACE=full` for a verbose backtrace.
        """
    ),
    (
        "Rust before 1.73",
        """
        thread 'worker' panicked at 'no answer', src/bus.rs:41:10
        note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace
        """
    ),
    (
        "Swift",
        """
        Fatal error: Index out of range

        *** Program crashed: Illegal instruction at 0x00007f8c4a1b2c3d ***

        Platform: arm64 Linux (Debian GNU/Linux 12)

        Thread 0 "logger" crashed:

        0 0x00007f8c4a1b2c3d _assertionFailure(_:_:file:line:flags:) + 351 in libswiftCore.so
        1 [ra] 0x000055d0c0a01234 Reader.next() + 77 in logger at /home/pi/Reader.swift:12:9

            10│     func next() -> Int {
            11│         let index = 99
        2 [ra] [thunk] 0x000055d0c0a01999 main + 8 in logger at /home/pi/main.swift:3

        Registers:

        rax 0x0000000000000001  1
        x29 0x00007ffd1c2b3a40  00 00 00 00

        Images (3 omitted):

        0x000055d0c0a00000–0x000055d0c0a09000 <no build ID> logger /home/pi/logger

        Backtrace took 0.12s
        """
    ),
    (
        "C, gdb",
        """
        Backtrace:
        #0  0x00007ffff7e4a1b2 in raise () from /lib/aarch64-linux-gnu/libc.so.6
        #1  0x0000555555555171 in check (value=3) at check.c:12
        #2  main () at main.c:5
        """
    ),
    (
        "C, glibc",
        """
        *** Error in `./bridge': double free or corruption (fasttop): 0x00000000012f5010 ***
        ======= Backtrace: =========
        ./bridge(main+0x1b)[0x55d5a1b2c3d4]
        /lib/aarch64-linux-gnu/libc.so.6(__libc_start_main+0xe8)[0x7f9c1d2e]
        ======= Memory map: ========
        """
    ),
    (
        "C, AddressSanitizer",
        """
        ==4711==ERROR: AddressSanitizer: heap-use-after-free on address 0x60200000eff0
            #0 0x4f2a1b in read_sensor /src/sensor.c:31
            #1 0x4f2b2c in main /src/main.c:9

        SUMMARY: AddressSanitizer: heap-use-after-free /src/sensor.c:31 in read_sensor
        ==4711==ABORTING
        """
    ),
    (
        "kernel",
        """
        Call Trace:
         <TASK>
         dump_stack_lvl+0x49/0x63
         panic+0x118/0x2f0
         </TASK>
        RIP: 0033:0x7f1c2d3e4f50
        ---[ end trace 0000000000000000 ]---
        """
    ),
    (
        "Ruby",
        """
        /srv/app/main.rb:12:in 'Integer': invalid value for Integer(): "x" (ArgumentError)
        \tfrom /srv/app/main.rb:12:in 'run'
        \tfrom /srv/app/main.rb:20:in '<main>'
        """
    ),
    (
        ".NET",
        """
        Unhandled exception. System.InvalidOperationException: Sequence contains no elements
         ---> System.IO.IOException: The pipe is broken
           at Bridge.Reader.Next() in /src/Reader.cs:line 12
           --- End of inner exception stack trace ---
           at Bridge.Program.Main(String[] args) in /src/Program.cs:line 5
        --- End of stack trace from previous location ---
           at System.Threading.Tasks.Task.Execute()
        """
    ),
    (
        "PHP",
        """
        PHP Fatal error:  Uncaught Exception: no database in /var/www/x.php:3
        Stack trace:
        #0 /var/www/index.php(12): connect()
        #1 {main}
          thrown in /var/www/x.php on line 3
        """
    ),
]

/// Lines that nothing may hold back.
private let ordinary = [
    "User 123 logged in", "Error: disk is full and nobody knows why: 5", "2026-03-01 12:00:00 INFO started", "", " ",
    " x",
    "[12345.678901] usb 1-1: new high-speed USB device number 4", "ERROR worker gone", "INFO:root:started",
    "thread pool has 4 workers",
    "panicked? no", "goroutines: 12", "fatal: not a git repository", "#channel joined", "12 items in 3 boxes",
    "Caused by a timeout",
    "at 12:00 the door opened", "... more", "}", "Stack of 3 plates", "Backtrace disabled", "lamp.js loaded",
    "/srv/app.js:10: warning",
    "KeyError", "MyErrors: 3", "Error count: 0", "org.example.Main started", "https://example.org/x: Error", "T",
    "*** done ***",
    "During handling of the above exception, another exception occurred:", "Suppressed: 4", "stack backtrace: none",
    "note: read this",
    "{\"level\":\"info\"}", "Errors: none", "Java: ok", "Thread 3 crashed into the wall", "===== begin =====",
    "exit status 2",
]

@Suite struct MultilineJoinerTraceTests {
    @Test(arguments: traces.indices)
    func `a trace leaves as one record, and the line behind it alone`(index: Int) {
        let (name, text) = traces[index]
        var bench = JoinerBench()
        bench.line("service started")
        bench.lines(text)
        bench.line("service stopped")
        bench.flush()
        #expect(bench.left.map(\.text) == ["service started", text, "service stopped"], "\(name)")
        #expect(bench.left.map(\.tag).first == 1 && bench.left.dropFirst().first?.tag == 2, "\(name)")
        #expect(bench.joiner.joinedCount == 1, "\(name)")
    }

    @Test(arguments: traces.indices)
    func `two equal traces one after the other are two records`(index: Int) {
        let (name, text) = traces[index]
        // Where the second is the form of the first's continuation, only a pause can part them.
        var bench = JoinerBench()
        bench.lines(text)
        bench.pass(.seconds(1))
        bench.lines(text)
        bench.flush()
        #expect(bench.left.map(\.text) == [text, text], "\(name)")
    }

    @Test(arguments: ordinary.filter { $0 != "Error: disk is full and nobody knows why: 5" })
    func `an ordinary line passes at once`(line: String) {
        var bench = JoinerBench()
        #expect(bench.line(line) == .emit)
        #expect(bench.left.map(\.text) == [line])
        #expect(bench.joiner.heldCount == 0)
        #expect(bench.joiner.deadline == nil)
    }

    @Test(arguments: traces.indices)
    func `an ordinary line ends every trace`(index: Int) {
        for line in [
            "2026-03-01 12:00:00 INFO started", "User 123 logged in", "INFO:root:started", "{\"level\":\"info\"}",
        ] {
            var bench = JoinerBench()
            bench.lines(traces[index].text)
            #expect(bench.line(line) == .emit)
            #expect(bench.left.last?.text == line)
            #expect(bench.left.count == 2)
        }
    }

    @Test func `traces of many sources at once are kept apart`() {
        var bench = JoinerBench()
        let parts = traces.map { $0.text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) }
        for row in 0..<(parts.map(\.count).max() ?? 0) {
            for (source, lines) in parts.enumerated() where row < lines.count {
                bench.line(lines[row], source: UInt64(source))
            }
        }
        #expect(bench.joiner.heldCount == traces.count)
        bench.pass(.seconds(1))
        for (source, trace) in traces.enumerated() {
            #expect(bench.left.filter { $0.source == UInt64(source) }.map(\.text) == [trace.text], "\(trace.name)")
        }
    }

    @Test func `a record that its sender joined is left as it is`() {
        var bench = JoinerBench()
        for trace in traces {
            #expect(bench.line(trace.text) == .emit, "\(trace.name)")
        }
        #expect(bench.left.map(\.text) == traces.map(\.text))
        #expect(bench.left.allSatisfy { $0.lineCount == 1 })
    }
}

@Suite struct MultilineJoinerIndentationTests {
    @Test func `indented lines go together, and from then on with the line above them`() {
        var bench = JoinerBench()
        bench.lines("first head\n  one\n  two\nsecond head\n\tthree\nlast")
        bench.flush()
        #expect(bench.left.map(\.text) == ["first head", "  one\n  two", "second head\n\tthree", "last"])
    }

    @Test func `a source that stopped indenting is forgotten`() {
        var bench = JoinerBench()
        bench.lines("  x")
        for round in 0..<255 { #expect(bench.line("line") == .hold, "\(round)") }
        for _ in 0..<10 { #expect(bench.line("line") == .emit) }
        #expect(bench.left.count == 266)
        #expect(bench.joiner.heldCount == 0)
    }

    @Test func `the message above a trace is joined where the source is known to indent`() {
        var bench = JoinerBench()
        bench.lines("  x\nERROR could not read the bus\njava.io.IOException: gone\n\tat a.B.c(B.java:1)\nok")
        bench.flush()
        #expect(
            bench.left.map(\.text) == [
                "  x", "ERROR could not read the bus\njava.io.IOException: gone\n\tat a.B.c(B.java:1)", "ok",
            ]
        )
    }

    @Test func `a blank line ends a paragraph`() {
        var bench = JoinerBench()
        bench.lines("  a\nhead\n  b\n\n  c")
        bench.flush()
        #expect(bench.left.map(\.text) == ["  a", "head\n  b", "", "  c"])
    }
}

@Suite struct MultilineJoinerBoundTests {
    @Test func `a trace that stopped leaves after a second, not before`() {
        var bench = JoinerBench()
        bench.lines("panic: x\n\ngoroutine 1 [running]:")
        #expect(bench.joiner.deadline == bench.now.advanced(by: .seconds(1)))
        bench.pass(.milliseconds(999))
        #expect(bench.left.isEmpty)
        bench.pass(.milliseconds(1))
        #expect(bench.left.map(\.lineCount) == [3])
        #expect(bench.joiner.deadline == nil)
        #expect(bench.joiner.byteCount == 0)
    }

    @Test func `a line that comes too late begins anew, also when nobody looked at the clock`() {
        var bench = JoinerBench()
        bench.line("Error: x")
        bench.now = bench.now.advanced(by: .seconds(1))
        #expect(bench.line("    at y (z.js:1:1)") == .hold)
        #expect(bench.left.map(\.text) == ["Error: x"])
    }

    @Test func `a source that never stops leaves every five seconds`() {
        var bench = JoinerBench()
        bench.line("Error: x")
        for _ in 0..<20 {
            bench.pass(.milliseconds(500))
            bench.line("    at y")
        }
        #expect(bench.left.map(\.lineCount) == [10, 10])
    }

    @Test func `no record has more lines than the bound, and the rest stays together`() {
        var bench = JoinerBench()
        bench.line("Error: deep")
        for index in 1..<1200 { bench.line("    at f\(index)") }
        bench.flush()
        #expect(bench.left.map(\.lineCount) == [512, 512, 176])
        #expect(bench.joiner.boundCount == 2)
    }

    @Test(arguments: [0, 1])
    func `no record has more bytes than the bound`(over: Int) {
        var bench = JoinerBench()
        bench.line("Error: ")
        let room = MultilineJoiner.byteCountMax - "Error: ".utf8.count - 1
        bench.line("    " + String(repeating: "x", count: room - 4 + over))
        bench.flush()
        #expect(bench.left.count == 1 + over)
        #expect(bench.left.allSatisfy { $0.text.utf8.count <= MultilineJoiner.byteCountMax })
    }

    @Test func `a line of full length passes alone`() {
        var bench = JoinerBench()
        let long = "    " + String(repeating: "x", count: MultilineJoiner.byteCountMax)
        bench.line("Error: x")
        #expect(bench.line(long) == .emit)
        #expect(bench.left.map(\.text) == ["Error: x", long])
    }

    @Test func `the source quiet longest makes way for the sixty-fifth`() {
        var bench = JoinerBench()
        for source in 0..<65 {
            bench.line("Error: \(source)", source: UInt64(source))
            bench.now = bench.now.advanced(by: .milliseconds(1))
        }
        #expect(bench.left.map(\.text) == ["Error: 0"])
        #expect(bench.joiner.heldCount == 64)
        #expect(bench.joiner.boundCount == 1)
    }

    @Test func `all sources together hold no more than the bound`() {
        var bench = JoinerBench()
        let line = "    " + String(repeating: "x", count: 30_000)
        for source in 0..<60 {
            bench.line("Error: \(source)", source: UInt64(source))
            bench.line(line, source: UInt64(source))
            #expect(bench.joiner.byteCount <= MultilineJoiner.heldByteCountMax)
        }
        bench.flush()
        #expect(bench.left.map(\.lineCount).reduce(0, +) == 120)
        #expect(bench.joiner.byteCount == 0)
    }
}

@Suite struct MultilineJoinerPropertyTests {
    @Test(arguments: 0..<4)
    func `no line is lost, doubled or out of order, whatever comes when`(round: Int) {
        let seed = SeededGenerator.seed(of: "joiner \(round)")
        var generator = SeededGenerator(seed: seed &+ UInt64(round))
        let pool =
            traces.flatMap { $0.text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init) }
            + ordinary
            + [
                "  two\nlines", "Error: a\n    at b", String(repeating: "y", count: 40_000),
                "    " + String(repeating: "x", count: 30_000), String(repeating: "z", count: 70_000),
            ]
        let sourceCount = UInt64([1, 3, 70, 200][round])
        var bench = JoinerBench()
        var sent: [UInt64: [String]] = [:]
        var tags: [UInt64: [UInt64]] = [:]
        for tag in 1...UInt64(8_000) {
            let source = UInt64.random(in: 0..<sourceCount, using: &generator)
            // Runs of a trace as often as lost lines.
            let text = pool[Int.random(in: 0..<pool.count - (tag % 50 == 0 ? 0 : 5), using: &generator)]
            sent[source, default: []].append(text)
            tags[source, default: []].append(tag)
            bench.line(text, source: source)
            switch Int.random(in: 0..<40, using: &generator) {
            case 0: bench.pass(.milliseconds(Int.random(in: 0...1500, using: &generator)))
            case 1: bench.now = bench.now.advanced(by: .milliseconds(Int.random(in: 0...1500, using: &generator)))
            default: break
            }
            #expect(bench.joiner.heldCount <= MultilineJoiner.sourceCountMax)
            #expect(bench.joiner.byteCount <= MultilineJoiner.heldByteCountMax)
        }
        bench.flush()
        #expect(bench.joiner.byteCount == 0)
        #expect(bench.joiner.heldCount == 0)
        for (source, lines) in sent {
            let mine = bench.left.filter { $0.source == source }
            #expect(mine.map(\.lineCount).reduce(0, +) == lines.count, "seed \(seed), source \(source)")
            #expect(mine.map(\.text).joined(separator: "\n") == lines.joined(separator: "\n"), "seed \(seed)")
            var line = 0
            for record in mine where line < lines.count {
                #expect(record.tag == tags[source]?[line], "seed \(seed)")
                line += record.lineCount
            }
        }
    }
}
