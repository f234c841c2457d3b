import Foundation
import PipelineTesting
import Testing

/// Stack traces in files of text, by the real program.
struct PatternsJoiningTests {
    private static let input = """
        link is down
        Traceback (most recent call last):
          File "/srv/a.py", line 10, in <module>

            main()
        ValueError: bad value

        {"message":"link is up"}
        Traceback (most recent call last):
          File "/srv/a.py", line 11, in <module>

        """

    private func run(_ arguments: [String]) throws -> String {
        let folder = try TemporaryDirectory()
        let environment = ["TMPDIR": folder.path, "COLUMNS": "", "NO_COLOR": ""]
        return try ChildProcess.run(
            [try Programs.path("logboom"), "patterns", "--quiet"] + arguments,
            environment: environment,
            input: Self.input
        ).output
    }

    @Test func `the lines of a trace have its headline's pattern, blank ones have none`() throws {
        let lines = try run(["--each", "--format", "ndjson"]).split(separator: "\n", omittingEmptySubsequences: false)
        let error = "ValueError: bad value"
        let start = ["link is down", error, error, "", error, error, "", "link is up"]
        #expect(lines.prefix(8).map(String.init) == start)
        // The end of the file ends the last trace, and every line but the blank one behind it has a line.
        #expect(lines.count == 11)
        #expect(lines[8] == lines[9] && !lines[8].isEmpty)
    }

    @Test func `a trace is one record, or with no-join as many as it has lines`() throws {
        func count(_ arguments: [String]) throws -> Int? {
            let json = try JSONSerialization.jsonObject(with: Data(try run(arguments).utf8)) as? [String: Any]
            return (json?["totals"] as? [String: Any])?["records"] as? Int
        }
        #expect(try count(["--json", "--format", "ndjson"]) == 4)
        #expect(try count(["--json", "--format", "ndjson", "--no-join"]) == 8)
    }
}
