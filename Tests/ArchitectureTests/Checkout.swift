import Foundation

/// The checkout these tests stand in, read from disk; nothing here changes it.
enum Checkout {
    /// Top folder, symbolic links resolved.
    static let root: URL = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// A text file of ours. Lines keep their numbers: `lines[0]` is line 1.
    struct File: Sendable {
        /// Relative to the top folder.
        let path: String
        let text: String

        var lines: [String] { text.components(separatedBy: "\n") }
        var name: String { String(path.split(separator: "/").last ?? "") }

        /// Lines without comments and without what stands between quotes, so that words in prose are not taken for code.
        var codeLines: [String] { lines.map(Self.code) }

        private static func code(_ line: String) -> String {
            var out = ""
            var inString = false
            var previous: Character = " "
            for character in line {
                if !inString, character == "/", previous == "/" {
                    out.removeLast()
                    break
                }
                if character == "\"", previous != "\\" { inString.toggle() }
                if !inString { out.append(character) }
                previous = character
            }
            return out
        }
    }

    /// Every regular file below `folder` whose name ends in one of `extensions` (all files when none is given), by path.
    static func files(below folder: String, extensions: Set<String> = []) -> [File] {
        let base = root.appendingPathComponent(folder)
        let keys: [URLResourceKey] = [.isRegularFileKey]
        guard let walk = FileManager.default.enumerator(at: base, includingPropertiesForKeys: keys) else { return [] }
        var found: [File] = []
        for case let url as URL in walk {
            // A package inside (fuzz, benchmarks) has a build folder of its own.
            if url.lastPathComponent.hasPrefix(".build") {
                walk.skipDescendants()
                continue
            }
            guard (try? url.resourceValues(forKeys: Set(keys)).isRegularFile) == true else { continue }
            guard extensions.isEmpty || extensions.contains(url.pathExtension) else { continue }
            guard let text = try? String(contentsOf: url, encoding: .utf8) else { continue }
            found.append(File(path: String(url.path.dropFirst(root.path.count + 1)), text: text))
        }
        return found.sorted { $0.path < $1.path }
    }

    /// One file, or `nil` when it is not there.
    static func file(_ path: String) -> File? {
        (try? String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)).map { File(path: path, text: $0) }
    }

    /// Swift files of the products: Sources and Migrations.
    static let swiftSources: [File] =
        files(below: "Sources", extensions: ["swift"]) + files(below: "Migrations", extensions: ["swift"])

    /// Sources and tests together.
    static let allSwift: [File] = swiftSources + files(below: "Tests", extensions: ["swift"])

    /// What a person wrote and reads: code, SQL, scripts, units and papers.
    static let allText: [File] =
        ["Sources", "Tests", "Migrations", "packaging", "systemd", "docs", ".ci"].flatMap { files(below: $0) }
        + ["Package.swift", "README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"].compactMap(file)

    /// The target a file belongs to: the folder below Sources, or `Migrations`.
    static func target(of file: File) -> String {
        let parts = file.path.split(separator: "/")
        return String(parts.first == "Sources" && parts.count > 1 ? parts[1] : parts[0])
    }
}

/// Runs a program to its end and gives back its standard output. Bounded by the caller's time limit trait.
func output(of program: String, _ arguments: [String]) throws -> (status: Int32, bytes: Data, errors: String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = arguments
    process.currentDirectoryURL = Checkout.root
    process.standardInput = FileHandle.nullDevice
    // Errors go to a file: two pipes read one after the other can wait for each other for ever.
    let errors = FileManager.default.temporaryDirectory.appendingPathComponent("logboom-\(UUID().uuidString).err")
    try Data().write(to: errors)
    defer { try? FileManager.default.removeItem(at: errors) }
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = try FileHandle(forWritingTo: errors)
    try process.run()
    let bytes = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return (process.terminationStatus, bytes, (try? String(contentsOf: errors, encoding: .utf8)) ?? "")
}
