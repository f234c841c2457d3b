import Testing

/// `import` lines and words that give away a clock or a die, against the rules. The compiler checks our own modules
/// (`--explicit-target-dependency-import-check`); system modules it lets everyone have.
struct ImportTests {
    @Test func `every import stands in its target's row`() {
        for file in Checkout.swiftSources {
            let target = Checkout.target(of: file)
            guard Rules.byTarget[target] != nil else { continue }
            for (number, module) in imports(in: file) {
                if let refusal = Rules.refusal(of: module, by: target) {
                    Issue.record("\(file.path):\(number): \(refusal)")
                }
            }
        }
    }

    @Test(arguments: Rules.guests.map(\.module))
    func `a guest is known only where its rule says`(module: String) throws {
        let guest = try #require(Rules.guests.first { $0.module == module })
        for file in Checkout.swiftSources where !guest.targets.contains(Checkout.target(of: file)) {
            for (number, name) in imports(in: file) where name == module {
                Issue.record("\(file.path):\(number) imports \(module): \(guest.reason)")
            }
        }
    }

    @Test func `the core imports nothing but the core`() {
        let core = Set(Rules.all.filter { $0.layer == .core }.map(\.target))
        for file in Checkout.swiftSources where core.contains(Checkout.target(of: file)) {
            for (number, module) in imports(in: file) where !core.contains(module) {
                Issue.record("\(file.path):\(number) imports \(module): \(Layer.core.reason)")
            }
        }
    }

    @Test func `the core is given time and chance, it does not fetch them`() {
        // Each word with what to do instead.
        let words = [
            ("ContinuousClock", "take `now:`"), ("SuspendingClock", "take `now:`"), ("clock_gettime", "take `now:`"),
            ("Task.sleep", "return a deadline"), (".random(", "take `using:`"), (".randomElement(", "take `using:`"),
            (".shuffled(", "take `using:`"), ("SystemRandomNumberGenerator", "take `using:`"),
            (" async ", "return an action"), ("await ", "return an action"), ("getenv", "take the value"),
        ]
        let core = Set(Rules.all.filter { $0.layer == .core }.map(\.target))
        for file in Checkout.swiftSources where core.contains(Checkout.target(of: file)) {
            for (index, line) in file.codeLines.enumerated() {
                for (word, instead) in words where line.contains(word) {
                    // Passing a given generator on is the way it should be.
                    if line.contains("using: &") { continue }
                    Issue.record("\(file.path):\(index + 1) says `\(word)` in the core: \(instead)")
                }
            }
        }
    }

    @Test func `chance is drawn only where programs and connections begin`() {
        let allowed: Set<String> = [
            "Logboomd", "LogboomCommand", "PipelineTesting", "Pipeline", "SQLiteSpool", "PostgresSink", "ForwardSink",
        ]
        for file in Checkout.swiftSources where !allowed.contains(Checkout.target(of: file)) {
            for (index, line) in file.codeLines.enumerated() {
                for word in [".random(", ".randomElement(", ".shuffled(", "SystemRandomNumberGenerator"]
                where line.contains(word) && !line.contains("using:") {
                    Issue.record(
                        "\(file.path):\(index + 1) says `\(word)`: take a generator as an argument, for a seed"
                    )
                }
            }
        }
    }

    @Test(arguments: [
        ("import Foundation", "Foundation"), ("@testable import Pipeline", "Pipeline"),
        ("internal import Glibc", "Glibc"), ("@preconcurrency package import NIOCore", "NIOCore"),
        ("public import struct LogModel.Batch", "LogModel"), ("    import   Ports  // why", "Ports"),
        ("import class Foundation.Process", "Foundation"),
    ])
    func `an import line is read whatever stands around it`(line: String, module: String) {
        #expect(importedModule(in: line) == module)
    }

    @Test(arguments: ["// import Foundation", "let text = \"import Foundation\"", "importer.run()", "important", ""])
    func `what only looks like an import is none`(line: String) {
        #expect(importedModule(in: Checkout.File(path: "x", text: line).codeLines[0]) == nil)
    }

    private func imports(in file: Checkout.File) -> [(line: Int, module: String)] {
        file.codeLines.enumerated().compactMap { index, line in importedModule(in: line).map { (index + 1, $0) } }
    }
}

/// The module that a line of code imports.
func importedModule(in line: String) -> String? {
    let before: Set<Substring> = [
        "public", "package", "internal", "fileprivate", "private", "@testable", "@preconcurrency", "@_exported",
        "@_implementationOnly", "@_spi",
    ]
    let kinds: Set<Substring> = ["struct", "class", "enum", "protocol", "typealias", "func", "let", "var", "actor"]
    var words = line.split(whereSeparator: \.isWhitespace)[...]
    while let word = words.first, before.contains(word) { words.removeFirst() }
    guard words.first == "import" else { return nil }
    words.removeFirst()
    if let word = words.first, kinds.contains(word) { words.removeFirst() }
    return words.first?.split(separator: ".").first.map(String.init)
}
