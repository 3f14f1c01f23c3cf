//! What a user gives to an app.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use ndarray::ArrayViewD;
use tilemark_model::Tensor;
use tilemark_pipeline::limits::MAX_ENCODED_BYTES;
use tilemark_pipeline::{Image, Sound, npy};

use crate::error::Error;

/// One input of an app: a picture, a sound, or tensors by the model's names.
#[derive(Clone, Debug)]
pub struct Input(pub(crate) Kind);

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Image(Image),
    Sound(Sound),
    Tensors(BTreeMap<String, Tensor>),
}

impl Input {
    /// The picture or the sound in a file, told apart by its first bytes.
    ///
    /// # Errors
    /// Those of [`Input::image`] and [`Input::sound`].
    pub fn file(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::encoded(&read_file(path.as_ref())?)
    }

    /// The same for a file in memory.
    ///
    /// # Errors
    /// Those of [`Input::image_bytes`] and [`Input::sound_bytes`].
    pub fn encoded(bytes: &[u8]) -> Result<Self, Error> {
        match bytes {
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..] => Self::sound_bytes(bytes),
            _ => Self::image_bytes(bytes),
        }
    }

    /// The sound in a WAV file.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::Pipeline`] if it is no sound or beyond the limits.
    pub fn sound(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::sound_bytes(&read_file(path.as_ref())?)
    }

    /// A WAV file in memory.
    ///
    /// # Errors
    /// [`Error::Pipeline`] if it is no sound or beyond the limits.
    pub fn sound_bytes(encoded: &[u8]) -> Result<Self, Error> {
        Ok(Self::samples(Sound::decode(encoded)?))
    }

    /// A decoded sound.
    pub fn samples(sound: Sound) -> Self {
        Self(Kind::Sound(sound))
    }

    /// The picture in a file: JPEG, PNG, BMP or WebP.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::Pipeline`] if it is no picture or beyond the limits.
    pub fn image(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::image_bytes(&read_file(path.as_ref())?)
    }

    /// An encoded picture in memory.
    ///
    /// # Errors
    /// [`Error::Pipeline`] if it is no picture or beyond the limits.
    pub fn image_bytes(encoded: &[u8]) -> Result<Self, Error> {
        Ok(Self(Kind::Image(Image::decode(encoded)?)))
    }

    /// Decoded pixels.
    pub fn pixels(image: Image) -> Self {
        Self(Kind::Image(image))
    }

    /// The picture, where it is one.
    pub fn picture(&self) -> Option<&Image> {
        match &self.0 {
            Kind::Image(image) => Some(image),
            Kind::Sound(_) | Kind::Tensors(_) => None,
        }
    }

    /// No tensors yet; add them with [`Input::tensor`] or [`Input::array`].
    ///
    /// ```
    /// use tilemark::{Input, Tensor};
    ///
    /// # fn main() -> Result<(), tilemark::Error> {
    /// let pixels = Tensor::f32([1, 3, 8, 8], vec![0.5; 192]).expect("as many as the shape says");
    /// let input = Input::tensors().tensor("image", pixels).npy("state", "state.npy");
    /// assert_eq!(input.unwrap_err().code(), "TM0501"); // there is no such file
    /// # Ok(())
    /// # }
    /// ```
    pub fn tensors() -> Self {
        Self(Kind::Tensors(BTreeMap::new()))
    }

    /// Adds the tensor for the model's input `name`. An app that takes pictures accepts tensors too; they skip its
    /// pre-processing.
    pub fn tensor(self, name: impl Into<String>, tensor: Tensor) -> Self {
        let mut tensors = match self.0 {
            Kind::Tensors(tensors) => tensors,
            Kind::Image(_) | Kind::Sound(_) => BTreeMap::new(),
        };
        tensors.insert(name.into(), tensor);
        Self(Kind::Tensors(tensors))
    }

    /// Adds an array of floats for the model's input `name`.
    ///
    /// # Errors
    /// [`Error::Model`] if it is larger than any tensor may be.
    pub fn array(self, name: impl Into<String>, array: ArrayViewD<f32>) -> Result<Self, Error> {
        Ok(self.tensor(name, Tensor::f32(array.shape(), array.iter().copied().collect())?))
    }

    /// Adds the tensor in a `.npy` file for the model's input `name`.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::Pipeline`] if it is no array.
    pub fn npy(self, name: impl Into<String>, path: impl AsRef<Path>) -> Result<Self, Error> {
        Ok(self.tensor(name, npy::read(&read_file(path.as_ref())?)?))
    }
}

/// Reads a user's file, refusing what is larger than any input may be.
pub(crate) fn read_file(path: &Path) -> Result<Vec<u8>, Error> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(io)?;
    let mut bytes = Vec::new();
    file.take(MAX_ENCODED_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() > MAX_ENCODED_BYTES {
        return Err(Error::InputTooLarge { path: path.to_owned(), limit: MAX_ENCODED_BYTES });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_larger_than_any_input_is_refused_without_reading_it_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large.png");
        // Sparse: it takes no room on the disk.
        std::fs::File::create(&path).unwrap().set_len(MAX_ENCODED_BYTES as u64 + 1).unwrap();
        let error = Input::image(&path).unwrap_err();
        assert_eq!(error.code(), "TM0505");
        assert!(error.to_string().contains("large.png"), "{error}");
    }

    #[test]
    fn tensors_collect_by_name_and_replace_a_picture() {
        let byte = |b| Tensor::u8([1], vec![b]).unwrap();
        let picture = Input::pixels(Image::from_rgb(1, 1, vec![0; 3]).unwrap());
        let Input(Kind::Tensors(tensors)) =
            picture.tensor("a", byte(1)).tensor("b", byte(2)).tensor("a", byte(3))
        else {
            panic!("tensors were given")
        };
        assert_eq!(tensors.into_iter().collect::<Vec<_>>(), [("a".into(), byte(3)), ("b".into(), byte(2))]);
    }
}
