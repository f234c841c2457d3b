import Testing

/// Metric names in the code against docs/metrics.md. A name that only one of them knows misleads whoever builds a dashboard.
struct MetricNameTests {
    private static let page = Checkout.file("docs/metrics.md")

    /// String literals of Sources that are a metric's name and nothing else, with the place where each stands first.
    private static let inCode: [String: String] = {
        var found: [String: String] = [:]
        for file in Checkout.files(below: "Sources", extensions: ["swift"]) {
            for (index, line) in file.lines.enumerated() {
                for name in literals(in: line) where found[name] == nil { found[name] = "\(file.path):\(index + 1)" }
            }
        }
        return found
    }()

    @Test(.enabled(if: page != nil, "docs/metrics.md is not written yet"))
    func `the code and the page on metrics know the same names`() throws {
        let documented = Set(try #require(Self.page).lines.flatMap(Self.documented))
        for (name, place) in Self.inCode.sorted(by: { $0.key < $1.key }) where !documented.contains(name) {
            Issue.record("\(name) (\(place)) is not in docs/metrics.md")
        }
        for name in documented.subtracting(Self.inCode.keys).sorted() {
            Issue.record("docs/metrics.md has \(name), which nothing in Sources says")
        }
    }

    @Test func `metric names use base units`() {
        for (name, place) in Self.inCode {
            #expect(!name.contains("__") && !name.hasSuffix("_"), "\(name) (\(place))")
            for unit in ["_ms", "_milliseconds", "_us", "_kib", "_kb", "_mb", "_minutes", "_hours", "_percent"] {
                #expect(!name.hasSuffix(unit), "\(name) (\(place)): seconds, bytes and ratios only")
            }
        }
    }

    @Test func `names are found in code and in tables alike`() {
        #expect(Self.literals(in: #"add(.gauge, "logboom_spool_bytes", "Bytes.")"#) == ["logboom_spool_bytes"])
        #expect(Self.literals(in: #"say("the metric logboom_spool_bytes"); logboom_trim_heap()"#).isEmpty)
        #expect(
            Self.documented(in: "| `logboom_records_in_flight{lane}` | gauge |") == ["logboom_records_in_flight"]
        )
        #expect(Self.documented(in: "the file logboom.db and the user logboom").isEmpty)
    }

    private static func literals(in line: String) -> [String] {
        // Between quotes is every second piece.
        line.split(separator: "\"", omittingEmptySubsequences: false).enumerated()
            .filter { $0.offset % 2 == 1 && $0.element.hasPrefix("logboom_") && $0.element.allSatisfy(isNameCharacter) }
            .map { String($0.element) }
    }

    private static func documented(in line: String) -> [String] {
        line.split { !isNameCharacter($0) }.filter { $0.hasPrefix("logboom_") }.map(String.init)
    }

    private static func isNameCharacter(_ character: Character) -> Bool {
        character.isASCII && (character.isLowercase || character.isNumber || character == "_")
    }
}
