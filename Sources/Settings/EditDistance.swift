/// Finds the key that a mistyped one was meant to be.
enum Suggestion {
    /// Further apart than this, two names are different names, not one and its typing mistake.
    static let distanceMax = 2

    /// The known key nearest to `name`, letter case aside, at most ``distanceMax`` edits away; the first in table order
    /// when several are as near. `nil` when none is.
    static func key(for name: String) -> SettingKey? {
        let letters = Array(name.uppercased().utf8)
        var best: (key: SettingKey, distance: Int)?
        for key in SettingKey.allCases {
            let distance = editDistance(letters, Array(key.rawValue.utf8))
            if distance <= distanceMax, distance < best?.distance ?? .max { best = (key, distance) }
        }
        return best?.key
    }

    /// Edits between two names: insertions, deletions, substitutions and swaps of neighbours, one each ("optimal string
    /// alignment"). Names are at most 64 bytes here; time and space grow with the product of the lengths.
    static func editDistance(_ left: [UInt8], _ right: [UInt8]) -> Int {
        if abs(left.count - right.count) > distanceMax { return distanceMax + 1 }
        var twoBack: [Int] = []
        var previous = Array(0...right.count)
        for row in 0..<left.count {
            var current = [row + 1]
            for column in 0..<right.count {
                let substitution = previous[column] + (left[row] == right[column] ? 0 : 1)
                var cost = min(substitution, previous[column + 1] + 1, current[column] + 1)
                if row > 0, column > 0, left[row] == right[column - 1], left[row - 1] == right[column] {
                    cost = min(cost, twoBack[column - 1] + 1)
                }
                current.append(cost)
            }
            twoBack = previous
            previous = current
        }
        return previous[right.count]
    }
}
