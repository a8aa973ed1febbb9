// The lowest points of feet and shoes: a clip was made for other legs and other shoes, and must not push these into the ground.
import * as THREE from 'three';

const PITCHES = Array.from({ length: 17 }, (_, k) => THREE.MathUtils.degToRad(-80 + 10 * k)); // of a foot on its way over the ground

export class Soles {
  // The avatar stands in its T-pose, its world matrices are up to date.
  constructor(vrm) {
    const feet = new Set();
    for (const name of ['leftFoot', 'rightFoot', 'leftToes', 'rightToes']) {
      vrm.humanoid.getRawBoneNode(name)?.traverse((node) => feet.add(node));
    }
    const lowest = new Map(); // bone -> for each pitch its lowest point, in world space
    const at = new THREE.Vector3();
    vrm.scene.traverse((mesh) => {
      if (!mesh.isSkinnedMesh) return;
      const { skinIndex, skinWeight, position } = mesh.geometry.attributes;
      const own = mesh.skeleton.bones.map((bone) => feet.has(bone));
      if (!own.includes(true)) return;
      for (let k = 0; k < position.count; k++) {
        let most = 0;
        for (let j = 1; j < 4; j++) if (skinWeight.getComponent(k, j) > skinWeight.getComponent(k, most)) most = j;
        const index = skinIndex.getComponent(k, most);
        if (!own[index]) continue;
        mesh.getVertexPosition(k, at).applyMatrix4(mesh.matrixWorld);
        const bone = mesh.skeleton.bones[index], found = lowest.get(bone) ?? PITCHES.map(() => ({ reach: Infinity }));
        lowest.set(bone, found);
        PITCHES.forEach((pitch, p) => {
          const reach = at.y * Math.cos(pitch) - at.z * Math.sin(pitch);
          if (reach < found[p].reach) found[p] = { reach, point: at.clone() };
        });
      }
    });
    this.points = [...lowest].map(([bone, found]) => {
      const inverse = bone.matrixWorld.clone().invert();
      return { bone, places: [...new Set(found.map((each) => each.point))].map((point) => point.clone().applyMatrix4(inverse)) };
    });
    this.ground = this.height(); // of the soles at rest
  }

  // How high the lowest point is now; undefined for an avatar without feet. World matrices are up to date.
  height() {
    const at = new THREE.Vector3();
    const heights = this.points.flatMap(({ bone, places }) => places.map((place) => at.copy(place).applyMatrix4(bone.matrixWorld).y));
    return heights.length ? Math.min(...heights) : undefined;
  }
}
