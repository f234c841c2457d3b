import Foundation
import Testing

@testable import Settings

/// The edge: real files.
struct SettingsFilesTests {
    /// A folder that is removed with the value.
    private final class Folder {
        let path: String

        init() throws {
            let url = FileManager.default.temporaryDirectory.appendingPathComponent("logboom-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
            path = url.path
        }

        func write(_ name: String, _ text: String) throws -> String {
            let file = "\(path)/\(name)"
            try FileManager.default.createDirectory(
                atPath: (file as NSString).deletingLastPathComponent,
                withIntermediateDirectories: true
            )
            try Data(text.utf8).write(to: URL(fileURLWithPath: file))
            return file
        }

        deinit { try? FileManager.default.removeItem(atPath: path) }
    }

    @Test func `drop-ins are read after the file in the order of their names`() throws {
        let folder = try Folder()
        let path = try folder.write("logboom.conf", "BATCH_SIZE=100\nMAX_PATTERNS=100\nLOG_LEVEL=warn\n")
        _ = try folder.write("logboom.conf.d/20-b.conf", "BATCH_SIZE=300\n")
        _ = try folder.write("logboom.conf.d/10-a.conf", "BATCH_SIZE=200\nMAX_PATTERNS=200\n")
        _ = try folder.write("logboom.conf.d/30-c.conf.bak", "BATCH_SIZE=400\n")
        _ = try folder.write("logboom.conf.d/.40-d.conf", "BATCH_SIZE=500\n")
        let result = SettingsSource(configurationPath: path, environment: home, isRoot: false).load()
        #expect(result.settings?.batchSize == 300)
        #expect(result.settings?.patternCountMax == 200)
        #expect(result.value(.batchSize)?.origin == .file(name: "\(path).d/20-b.conf", line: 1))
        #expect(result.value(.logLevel)?.origin == .file(name: path, line: 3))
    }

    @Test func `a named file that is missing, a folder, or too large is an error beside all others`() throws {
        let folder = try Folder()
        let missing = SettingsSource(
            configurationPath: "\(folder.path)/none",
            flags: ["BATCH_SIZE=0"],
            environment: home,
            isRoot: false
        )
        #expect(
            missing.load().errors == [
                "reading \(folder.path)/none: there is no such file",
                "flag: BATCH_SIZE: 0 is out of range; allowed: 1 to 100000",
            ]
        )
        let isFolder = SettingsSource(configurationPath: folder.path, environment: home, isRoot: false)
        #expect(isFolder.load().errors == ["reading \(folder.path): it is not a regular file"])
        let path = try folder.write("large", String(repeating: "#", count: EnvironmentFile.byteCountMax + 1))
        let large = SettingsSource(configurationPath: path, environment: home, isRoot: false)
        #expect(large.load().errors == ["reading \(path): the file is larger than 1048576 bytes"])
        _ = try folder.write("large", String(repeating: "#", count: EnvironmentFile.byteCountMax))
        #expect(large.load().errors.isEmpty)
    }

    @Test func `a pipe in the place of a file does not hold up the start`() throws {
        let folder = try Folder()
        #expect(mkfifo("\(folder.path)/pipe", 0o600) == 0)
        let source = SettingsSource(configurationPath: "\(folder.path)/pipe", environment: home, isRoot: false)
        #expect(source.load().errors == ["reading \(folder.path)/pipe: it is not a regular file"])
    }

    @Test func `a password is read again from its file`() throws {
        let folder = try Folder()
        let secret = try folder.write("pw", "one\n")
        let path = try folder.write("logboom.conf", "POSTGRES_HOST=db\nPOSTGRES_PASSWORD_FILE=\(secret)\n")
        let result = SettingsSource(configurationPath: path, environment: home, isRoot: false).load()
        let postgres = try #require(result.settings?.postgres)
        #expect(postgres.password == Secret("one"))
        _ = try folder.write("pw", "two\n")
        #expect(SettingsSource.readPassword(of: postgres) == .success(Secret("two")))
        try FileManager.default.removeItem(atPath: secret)
        #expect(SettingsSource.readPassword(of: postgres) == .failure(.missing))
    }

    @Test func `files are checked without environment and without their password files`() throws {
        let folder = try Folder()
        let good = try folder.write("good", "POSTGRES_HOST=db\nPOSTGRES_PASSWORD_FILE=/root/none\n")
        let bad = try folder.write("bad", "BATCH_SIZE=0\nX=1\n")
        #expect(SettingsSource.check([good]).errors.isEmpty)
        #expect(SettingsSource.check([good, bad, "\(folder.path)/none"]).errors.count == 3)
    }

    @Test func `the process's environment is read`() {
        #expect(SettingsSource.processEnvironment()["PATH"] == ProcessInfo.processInfo.environment["PATH"])
    }

    @Test func `the daemon's arguments become a source of settings`() throws {
        let arguments = ["--set", "BATCH_SIZE=5", "--config=/x", "--set=LOG_LEVEL=debug", "--check"]
        guard
            case .run(let source, let checkOnly) = DaemonCommand.parse(arguments, environment: home, isRoot: true)
        else {
            Issue.record("not understood")
            return
        }
        #expect(source.flags == ["BATCH_SIZE=5", "LOG_LEVEL=debug"])
        #expect(source.configurationPath == "/x")
        #expect(checkOnly)
    }

    @Test(arguments: [
        ["--set"], ["--config"], ["--config="], ["--config", "a", "--config", "b"], ["serve"], ["--sett", "A=1"],
        ["--check=1"],
    ])
    func `misused arguments are refused with a sentence`(arguments: [String]) {
        guard case .misused(let sentence) = DaemonCommand.parse(arguments, environment: [:], isRoot: false) else {
            Issue.record("accepted")
            return
        }
        #expect(!sentence.isEmpty)
    }
}

/// The shipped file and the documentation are made from the table of keys.
struct ShippedConfigurationTests {
    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path
    private static let isUpdating = ProcessInfo.processInfo.environment["LOGBOOM_UPDATE_GOLDEN"] == "1"

    @Test func `the shipped file says what the program does`() throws {
        let path = "\(Self.root)/packaging/logboom.conf"
        if Self.isUpdating { try ShippedConfiguration.text.write(toFile: path, atomically: false, encoding: .utf8) }
        let shipped = try String(contentsOfFile: path, encoding: .utf8)
        #expect(shipped == ShippedConfiguration.text, "LOGBOOM_UPDATE_GOLDEN=1 rewrites packaging/logboom.conf")
    }

    @Test func `the documentation's table of keys says what the program does`() throws {
        let path = "\(Self.root)/docs/formats/configuration.md"
        var text = try String(contentsOfFile: path, encoding: .utf8)
        let start = try #require(text.range(of: "<!-- keys: made from the table in Sources/Settings -->\n"))
        let end = try #require(text.range(of: "<!-- end of keys -->"))
        if Self.isUpdating {
            text.replaceSubrange(start.upperBound..<end.lowerBound, with: ShippedConfiguration.markdownTable)
            try text.write(toFile: path, atomically: false, encoding: .utf8)
        } else {
            #expect(String(text[start.upperBound..<end.lowerBound]) == ShippedConfiguration.markdownTable)
        }
    }

    @Test func `the shipped file as it is changes nothing`() throws {
        let standard = try SettingsLoader.load(SettingsLoader.Input(isRoot: true)).get()
        let files = [file("logboom.conf", ShippedConfiguration.text)]
        let shipped = try SettingsLoader.load(SettingsLoader.Input(files: files, isRoot: true)).get()
        #expect(shipped == standard)
    }

    @Test func `the shipped file with every key uncommented is legal and still the default`() throws {
        let lines = ShippedConfiguration.text.split(separator: "\n", omittingEmptySubsequences: false)
        let text = lines.map { line in
            line.hasPrefix("#") && !line.hasPrefix("# ") && line.contains("=") ? String(line.dropFirst()) : String(line)
        }.joined(separator: "\n")
        let loaded = try SettingsLoader.load(SettingsLoader.Input(files: [file("all", text)], isRoot: true)).get()
        #expect(loaded.settings == (try SettingsLoader.load(SettingsLoader.Input(isRoot: true)).get().settings))
        let given = loaded.values.filter { $0.origin != .standard }.map(\.key)
        #expect(given == SettingKey.allCases)
    }

    @Test func `every line of the shipped file fits and every key is explained in one`() {
        #expect(ShippedConfiguration.text.split(separator: "\n").allSatisfy { $0.count <= 120 })
        for key in SettingKey.allCases {
            #expect(key.explanation.hasSuffix(".") || key.explanation.hasSuffix(")."))
            #expect(ShippedConfiguration.text.contains("\n#\(key)="))
        }
    }
}
