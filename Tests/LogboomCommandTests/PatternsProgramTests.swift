import Foundation
import PipelineTesting
import Testing

/// `logboom patterns`, the real program, on real files.
struct PatternsProgramTests {
    private typealias End = (end: ChildProcess.End, output: String, errors: String)

    private let folder: TemporaryDirectory

    init() throws {
        folder = try TemporaryDirectory()
    }

    private func run(_ arguments: [String], input: String? = nil) throws -> End {
        let environment = ["TMPDIR": folder.path, "COLUMNS": "", "NO_COLOR": ""]
        return try ChildProcess.run(
            [try Programs.path("logboom"), "patterns"] + arguments,
            environment: environment,
            input: input
        )
    }

    private func file(_ name: String, _ bytes: [UInt8]) throws -> String {
        try Data(bytes).write(to: URL(fileURLWithPath: folder.file(name)))
        return folder.file(name)
    }

    private func file(_ name: String, _ text: String) throws -> String {
        try file(name, Array(text.utf8))
    }

    private func object(_ text: String) throws -> [String: Any] {
        try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any], "\(text)")
    }

    private func patterns(_ text: String) throws -> [[String: Any]] {
        try #require(try object(text)["patterns"] as? [[String: Any]])
    }

    private static let input = "User 1 logged in\r\n\nlink is down\nUser 22 logged in\n   \nUser 3 logged in"

    // MARK: Inputs

    @Test func `lines with either end, and a last one without, are counted; empty ones are not`() throws {
        let json = try object(try run(["--json"], input: Self.input).output)
        let totals = try #require(json["totals"] as? [String: Any])
        #expect(totals["lines"] as? Int == 4)
        #expect(totals["records"] as? Int == 4)
        #expect(totals["empty_lines"] as? Int == 2)
        #expect(totals["bytes"] as? Int == Self.input.utf8.count)
        let rows = try #require(json["patterns"] as? [[String: Any]])
        #expect(rows.map { $0["pattern"] as? String } == ["User <ID> logged in", "link is down"])
        #expect(rows.map { $0["count"] as? Int } == [3, 1])
        #expect(rows[0]["sample"] as? String == "User 1 logged in")
        #expect(rows[0]["share"] as? Double == 0.75)
    }

    @Test func `each prints the pattern of every line at its place`() throws {
        let answer = try run(["--each"], input: Self.input)
        #expect(answer.end == .exited(0))
        #expect(
            answer.output == "User <ID> logged in\n\nlink is down\nUser <ID> logged in\n\nUser <ID> logged in\n"
        )
        #expect(answer.errors.hasPrefix("4 records, 2 patterns; "))
        #expect(try run(["--each", "--quiet"], input: Self.input).errors.isEmpty)
    }

    @Test func `each leaves no file behind and holds its order past one buffer`() throws {
        let text =
            (0..<40_000).map { $0 % 3 == 0 ? "tick 1" : $0 % 3 == 1 ? "tock" : "" }.joined(separator: "\n") + "\n"
        let path = try file("long.log", text)
        let lines = try run(["--each", path]).output.split(separator: "\n", omittingEmptySubsequences: false)
        #expect(lines.count == 40_001)
        let wrong = lines.dropLast().enumerated().first { index, line in
            line != (index % 3 == 0 ? "tick <NUM>" : index % 3 == 1 ? "tock" : "")
        }
        #expect(wrong == nil)
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["long.log"])
    }

    @Test func `each says so when it has no place for its file`() throws {
        let answer = try ChildProcess.run(
            [try Programs.path("logboom"), "patterns", "--each"],
            environment: ["TMPDIR": folder.file("nowhere")],
            input: Self.input
        )
        #expect(answer.end == .exited(74))
        #expect(answer.errors.contains("No such file or directory"))
        #expect(answer.output.isEmpty)
    }

    @Test func `objects are records with level, source and time, and lines between them are text`() throws {
        let input = """
            {"time":"2025-01-15T10:30:00Z","level":"warn","msg":"cache 1 cold","service":"web"}
            Listening on port 80
            {"time":"2025-01-15T10:31:00Z","level":"error","msg":"cache 2 cold","service":"web"}
            {"msg":"cut sho
            {"time":"2025-01-15T10:29:00Z","level":"error","msg":"disk 3\\nfull","service":"api"}

            """
        let answer = try run(["--json"], input: input)
        let rows = try patterns(answer.output)
        #expect(rows.reduce(0) { $0 + ($1["count"] as? Int ?? 0) } == 5)
        let cold = try #require(rows.first { $0["count"] as? Int == 2 })
        #expect(cold["levels"] as? [String: Int] == ["WARN": 1, "ERROR": 1])
        #expect(cold["sources"] as? [String: Int] == ["web": 2])
        #expect(cold["first"] as? String == "2025-01-15T10:30:00.000000Z")
        #expect(cold["last"] as? String == "2025-01-15T10:31:00.000000Z")
        #expect(answer.errors == "logboom: 2 lines not of the file's kind: counted as plain text\n")
        let each = try run(["--each"], input: input).output.split(separator: "\n", omittingEmptySubsequences: false)
        #expect(each.count == 6, "a line end inside a message must not make another line")
        #expect(each[1] == "Listening on port <NUM>")
        // Of a message of several lines the one that says what happened.
        #expect(each[4] == "disk <NUM>")
    }

    @Test func `the journal's entries are read, those without a message left out and said`() throws {
        func entry(_ message: String, _ rest: String = "") -> String {
            #"{"__REALTIME_TIMESTAMP":"1736937000000000","__CURSOR":"s=1","MESSAGE":\#(message)\#(rest)}"# + "\n"
        }
        let input =
            entry(#""disk 1 full""#, #","PRIORITY":"3","SYSLOG_IDENTIFIER":"kernel""#) + entry("[100,105,115,107]")
            + entry("null") + entry(#""disk 2 full""#, #","PRIORITY":"4","_SYSTEMD_UNIT":"x.service""#)
        let answer = try run(["--json"], input: input)
        let json = try object(answer.output)
        #expect((json["totals"] as? [String: Any])?["records"] as? Int == 3)
        #expect((json["files"] as? [[String: Any]])?.first?["format"] as? String == "journal")
        let full = try #require(try patterns(answer.output).first)
        #expect(full["levels"] as? [String: Int] == ["ERROR": 1, "WARN": 1])
        #expect(full["sources"] as? [String: Int] == ["kernel": 1, "x.service": 1])
        #expect(full["first"] as? String == "2025-01-15T10:30:00.000000Z")
        #expect(answer.errors == "logboom: 1 journal entry without a message: not counted\n")
        #expect(try run(["--each", "--quiet"], input: input).output.split(separator: "\n").count == 3)
    }

    @Test func `the format that is named goes before what the first line looks like`() throws {
        let input = #"{"msg":"x 1"}"# + "\n"
        #expect(try run(["--each", "--quiet"], input: input).output == "x <NUM>\n")
        #expect(try run(["--each", "--quiet", "--format", "text"], input: input).output.hasPrefix("{"))
    }

    @Test func `files are counted together, each by its own kind`() throws {
        let text = try file("a.log", [0xEF, 0xBB, 0xBF] + Array("x 1\n".utf8))
        let objects = try file("b.log", #"{"msg":"x 2"}"#)
        let json = try object(try run(["--json", text, objects, "-"], input: "x 3\n").output)
        #expect((json["patterns"] as? [[String: Any]])?.map { $0["count"] as? Int } == [3])
        let files = try #require(json["files"] as? [[String: Any]])
        #expect(files.map { $0["format"] as? String } == ["text", "ndjson", "text"])
        #expect(files.last?["name"] as? String == "standard input")
    }

    @Test func `a long line is cut and said, and its neighbours are whole`() throws {
        let long = try file("long", "before\n" + String(repeating: "x ", count: 3 << 20) + "\nafter\n")
        let answer = try run(["--each", long])
        let lines = answer.output.split(separator: "\n")
        #expect(lines.count == 3)
        #expect(lines.first == "before" && lines.last == "after")
        #expect(answer.errors.contains("1 line longer than 64 KiB"))
    }

    @Test func `lines that came before a pattern was learned print what it became`() throws {
        let names = ["alice", "bob", "carol", "dave", "erin", "frank", "grace", "heidi", "ivan", "judy"]
        let input = names.map { "session opened for user \($0)\n" }.joined()
        let each = try run(["--each", "--quiet"], input: input).output
        #expect(each == String(repeating: "session opened for user <*>\n", count: names.count))
        let rows = try patterns(try run(["--json"], input: input).output)
        #expect(rows.map { $0["count"] as? Int } == [10])
        #expect(rows.first?["sample"] as? String == "session opened for user alice")
    }

    @Test(arguments: [["--json"], ["--each"], [], ["--test", "x"]])
    func `secrets are replaced before anything is printed`(arguments: [String]) throws {
        // Put together here, so that no scanner of repositories takes it for a real one.
        let secret = "hunter" + "2-and-more"
        let input = "login with password=\(secret) failed\n{\"msg\":\"token=\(secret)\"}\n"
        let answer = try run(arguments + [try file("secrets", input)])
        #expect(answer.end == .exited(0))
        #expect(!(answer.output + answer.errors).contains(secret))
    }

    // MARK: What cannot be counted

    @Test func `a file that cannot be read costs a sentence and no other file`() throws {
        let good = try file("good", "x 1\n")
        let zipped = try file("zipped.gz", [0x1F, 0x8B, 0x08, 0x00])
        let missing = folder.file("miss\u{1B}[2Jing")
        let answer = try run(["--json", missing, folder.path, zipped, good + "/x", good])
        #expect(answer.end == .exited(66))
        let lines = answer.errors.split(separator: "\n")
        #expect(lines.count == 4)
        #expect(lines[0].hasSuffix("No such file or directory (errno 2)"))
        #expect(lines[1].hasSuffix("it is a directory"))
        #expect(lines[2].contains("it is compressed"))
        #expect(lines[3].contains("Not a directory"))
        #expect(!answer.errors.contains("\u{1B}"))
        #expect(try patterns(answer.output).map { $0["count"] as? Int } == [1])
    }

    @Test(arguments: ["", "\n\n  \n"])
    func `nothing to count ends with 1`(input: String) throws {
        #expect(try run([], input: input).end == .exited(1))
        #expect(try run(["--each"], input: input).end == .exited(1))
        let answer = try run(["--json"], input: input)
        #expect(answer.end == .exited(1))
        #expect(try patterns(answer.output).isEmpty)
    }

    @Test(arguments: [
        ["--min-count", "0"], ["--limit", "-1"], ["--sort", "x"], ["--format", "x"], ["--max-patterns", "9"],
        ["--each", "--json"],
        ["--each", "--test", "x"], ["-", "-"], ["--nothing"],
    ])
    func `wrong usage ends with 64`(arguments: [String]) throws {
        let answer = try run(arguments, input: Self.input)
        #expect(answer.end == .exited(64))
        #expect(answer.output.isEmpty)
    }

    // MARK: Output

    @Test func `the table is for people and quiet in a pipe`() throws {
        let answer = try run([], input: Self.input)
        #expect(answer.end == .exited(0))
        #expect(answer.errors.isEmpty)
        #expect(
            answer.output.hasPrefix(
                """
                COUNT  SHARE  PATTERN
                    3  75.0%  User <ID> logged in
                    1  25.0%  link is down

                4 records, 2 patterns; 70 B in\u{20}
                """
            )
        )
        #expect(try run(["--color", "always"], input: "[error] x\n").output.contains("\u{1B}[31mERROR"))
    }

    @Test func `the least count and the limit leave out, and the limit says so`() throws {
        #expect(try !run(["--min-count", "2"], input: Self.input).output.contains("link"))
        #expect(try run(["--min-count", "9"], input: Self.input).output.hasPrefix("No pattern has so many records."))
        let limited = try run(["--limit", "1"], input: Self.input).output
        #expect(!limited.contains("link"))
        #expect(limited.contains("… and 1 more pattern; --limit 0 shows all"))
        #expect(try patterns(try run(["--json", "--limit", "1"], input: Self.input).output).count == 1)
    }

    @Test(arguments: [["--color", "never"], ["--each"], ["--json"], ["--test", "\u{1B}[2J\u{202E}x"]])
    func `hostile text never reaches the terminal as it is`(arguments: [String]) throws {
        let hostile: [UInt8] =
            [0x1B] + Array("]0;title\u{07}\u{1B}[2J\u{202E}abc\u{85}\r x\n".utf8) + [
                0x00, 0xFF, 0xC3, 0x0A, 0x9B, 0x32, 0x0A,
            ]
        let answer = try run(arguments + [try file("hostile", hostile)])
        #expect(answer.end == .exited(0))
        for scalar in (answer.output + answer.errors).unicodeScalars where scalar != "\n" {
            #expect(scalar.value >= 0x20 && !(0x7F...0x9F).contains(scalar.value) && scalar.value != 0x202E)
        }
    }

    @Test func `patterns past the bound count under other, and the sum holds`() throws {
        let words = (0..<30).map { "w" + String(repeating: "x", count: $0) + " stays" }
        let answer = try run(["--json", "--max-patterns", "10"], input: words.joined(separator: "\n"))
        let rows = try patterns(answer.output)
        #expect(rows.reduce(0) { $0 + ($1["count"] as? Int ?? 0) } == 30)
        #expect(rows.count <= 11)
    }

    @Test func `memory does not grow with the lines`() throws {
        // VmHWM while the program waits for more: after 200,000 lines it is what it was after 20,000, within 4 MiB.
        let program = try Programs.path("logboom")
        let fifo = folder.file("fifo")
        try #require(mkfifo(fifo, 0o600) == 0)
        let child = try ChildProcess([program, "patterns", "--each", fifo], environment: ["TMPDIR": folder.path])
        let writer = try Wait.until("the program to open its file") {
            let opened = open(fifo, O_WRONLY | O_NONBLOCK)
            return opened >= 0 ? opened : nil
        }
        _ = fcntl(writer, F_SETFL, 0)
        let lines = Array(String(repeating: "User 17 logged in from 10.0.0.5\n", count: 20_000).utf8)
        var peaks: [Int] = []
        for _ in 0..<10 {
            var rest = lines[...]
            while !rest.isEmpty {
                let count = rest.withUnsafeBytes { write(writer, $0.baseAddress, $0.count) }
                try #require(count > 0)
                rest = rest.dropFirst(count)
            }
            let status = try String(contentsOfFile: "/proc/\(child.processID)/status", encoding: .utf8)
            let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
            peaks.append(line.flatMap { Int($0.filter(\.isNumber)) } ?? 0)
        }
        close(writer)
        #expect(try child.waitForEnd(.seconds(30)) == .exited(0))
        #expect(child.output.utf8.count == 200_000 * "User <ID> logged in from <IP>\n".utf8.count)
        #expect(peaks[0] > 0 && peaks[9] - peaks[1] < 4096, "\(peaks)")
    }

    @Test func `a line is explained token by token, also by what files teach`() throws {
        let answer = try run(["--test", "User 17 logged in from 10.0.0.5"])
        #expect(answer.end == .exited(0))
        #expect(answer.output.contains("pattern  User <ID> logged in from <IP>\n"))
        #expect(answer.output.contains("<IP>       10.0.0.5"))
        let path = try file("taught", "User 1 logged in from 10.0.0.1\n")
        let json = try object(try run(["--json", "--test", "User 17 logged in from 10.0.0.5", path]).output)
        let id = try patterns(try run(["--json", path]).output).first?["id"] as? String
        #expect(json["id"] as? String == id)
        #expect((json["parts"] as? [[String: Any]])?.count == 4)
    }

    @Test func `ctrl-c prints what was counted so far`() throws {
        // A pipe that stays open: its writer is the shell's child, and ends with it.
        let program = try Programs.path("logboom")
        let fifo = folder.file("fifo")
        try #require(mkfifo(fifo, 0o600) == 0)
        let child = try ChildProcess([program, "patterns", "--json", fifo], environment: ["TMPDIR": folder.path])
        let writer = try Wait.until("the program to open its file") {
            let opened = open(fifo, O_WRONLY | O_NONBLOCK)
            return opened >= 0 ? opened : nil
        }
        defer { close(writer) }
        let text = Array("x 1\nx 2\nhalf".utf8)
        try #require(write(writer, text, text.count) == text.count)
        try Wait.until("the program to read what there is") {
            var waiting: Int32 = -1
            _ = ioctl(writer, UInt(FIONREAD), &waiting)
            return waiting == 0
        }
        child.signal(SIGINT)
        let end = try child.waitForEnd()
        #expect(end == .exited(130))
        let json = try object(child.output)
        #expect((json["totals"] as? [String: Any])?["interrupted"] as? Bool == true)
        #expect(try patterns(child.output).map { $0["count"] as? Int } == [2])
    }

    @Test func `a reader that goes away ends the program quietly`() throws {
        let path = try file("many", (0..<50_000).map { "line \($0)" }.joined(separator: "\n"))
        let program = try Programs.path("logboom")
        let answer = try ChildProcess.run(["/bin/sh", "-c", "'\(program)' patterns --each --quiet '\(path)' | head -1"])
        #expect(answer.output == "line <NUM>\n" || answer.output == "line <ID>\n")
        #expect(answer.errors.isEmpty)
    }

    @Test func `a full disk below each is said`() throws {
        // No file may grow past 64 KiB (ulimit -f counts 512-byte blocks in dash), and SIGXFSZ is ignored.
        let path = try file("many", String(repeating: "x 1\n", count: 100_000))
        let program = try Programs.path("logboom")
        let answer = try ChildProcess.run(
            ["/bin/sh", "-c", "trap '' XFSZ; ulimit -f 128; '\(program)' patterns --each '\(path)'"],
            environment: ["TMPDIR": folder.path]
        )
        #expect(answer.end == .exited(74))
        #expect(answer.errors.contains("File too large"))
    }

    @Test func `the help has examples and every exit status`() throws {
        let help = try run(["--help"]).output
        #expect(help.components(separatedBy: "logboom patterns ").count >= 4)
        for status in ["64", "66", "74", "130"] { #expect(help.contains(status)) }
    }
}
