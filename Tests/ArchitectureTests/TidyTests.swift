import Foundation
import Testing

/// Rules of order that a reader should never have to argue about.
struct TidyTests {
    @Test func `the top level holds what the project's shape names and nothing else`() throws {
        let allowed: Set<String> = [
            "Package.swift", "Sources", "Tests", "systemd", "packaging", "Migrations", "README.md", "LICENSE",
            "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs",
            // Made by SwiftPM, ignored by git.
            "Package.resolved",
        ]
        let present = try FileManager.default.contentsOfDirectory(atPath: Checkout.root.path)
        for name in present.sorted() where !name.hasPrefix(".") && !allowed.contains(name) {
            Issue.record("\(name) stands at the top level; a new folder there is a decision")
        }
    }

    @Test func `no file has grown past six hundred lines`() {
        // A file on this list has its reason beside it.
        let excused: [String: String] = [:]
        for file in Checkout.allSwift where excused[file.path] == nil && file.lines.count > 600 {
            Issue.record("\(file.path) has \(file.lines.count) lines: look for the second concept inside")
        }
        for path in excused.keys where Checkout.file(path) == nil {
            Issue.record("\(path) is excused from the line limit but is gone")
        }
    }

    @Test func `nothing is left over from work in progress`() {
        // Put together here, so that this file does not find itself.
        let marks = ["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"]
        for file in Checkout.allText {
            for (index, line) in file.lines.enumerated() {
                let words = line.split { !$0.isLetter }
                for mark in marks where words.contains(where: { $0 == mark }) {
                    Issue.record("\(file.path):\(index + 1) says \(mark): do it, or open an issue and say why not now")
                }
            }
        }
    }

    @Test func `there are no tabs and no blanks at line ends`() {
        // Make rules and changelogs of Debian need their tabs; Markdown ends a line with two blanks on purpose.
        let checked: Set<String> = ["swift", "sql", "service", "socket", "conf", "lua", "sh", "md"]
        for file in Checkout.allText where checked.contains(String(file.name.split(separator: ".").last ?? "")) {
            for (index, line) in file.lines.enumerated() {
                if line.contains("\t") { Issue.record("\(file.path):\(index + 1) has a tab") }
                if line.hasSuffix(" ") { Issue.record("\(file.path):\(index + 1) ends with a blank") }
            }
        }
    }

    @Test func `SQL files start with a letter and have names of their own`() {
        // SwiftPM makes identifiers of base names: it flattens folders and replaces a leading digit.
        var seen: [String: String] = [:]
        for file in Checkout.files(below: "Migrations", extensions: ["sql"]) {
            #expect(file.name.first?.isLetter == true, "\(file.path) must start with a letter")
            if let other = seen.updateValue(file.path, forKey: file.name) {
                Issue.record("\(file.path) and \(other) have the same name")
            }
        }
    }

    @Test func `decisions are numbered without gaps and each has its four parts`() {
        let decisions = Checkout.files(below: "docs/decisions", extensions: ["md"])
        let numbers = decisions.compactMap { Int($0.name.prefix(4)) }
        #expect(numbers.sorted() == Array(1...max(1, numbers.count)), "the numbers are \(numbers.sorted())")
        for file in decisions {
            for part in ["Context", "Decision", "Alternatives", "Consequences"] {
                #expect(file.text.contains("## \(part)"), "\(file.path) has no section \(part)")
            }
        }
    }

    @Test(arguments: ["packaging/quickstart", "packaging/test", "packaging/bench", "packaging/soak", ".ci/run"])
    func `a script can be run and parsed`(path: String) throws {
        let file = try #require(Checkout.file(path), "\(path) is missing")
        #expect(FileManager.default.isExecutableFile(atPath: Checkout.root.appendingPathComponent(path).path))
        #expect(file.text.hasPrefix("#!/usr/bin/env bash\n"))
        #expect(file.text.contains("set -euo pipefail"), "\(path) goes on after an error")
        let result = try output(of: "/bin/bash", ["-n", path])
        #expect(result.status == 0, "\(result.errors)")
    }

    @Test func `every relative link in the papers leads somewhere`() {
        for file in Checkout.allText where file.name.hasSuffix(".md") {
            let folder = Checkout.root.appendingPathComponent(file.path).deletingLastPathComponent()
            for (index, line) in file.lines.enumerated() {
                for target in linkTargets(in: line) {
                    let there = FileManager.default.fileExists(atPath: folder.appendingPathComponent(target).path)
                    #expect(there, "\(file.path):\(index + 1) points to \(target), which is not there")
                }
            }
        }
    }

    /// Targets of `[text](target)` that are files: no scheme, no bare fragment; a fragment behind the path is cut.
    private func linkTargets(in line: String) -> [String] {
        line.components(separatedBy: "](").dropFirst().compactMap { rest in
            guard let target = rest.split(separator: ")", omittingEmptySubsequences: false).first,
                !target.isEmpty, !target.contains(":"), !target.hasPrefix("#"), !target.contains(" ")
            else { return nil }
            return target.split(separator: "#").first.map(String.init)
        }
    }
}
