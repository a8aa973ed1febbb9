// The place: renderer, camera, light, ground.
import * as THREE from 'three';
import { OrbitControls } from 'three/addons/controls/OrbitControls.js';

export class Stage {
  constructor(canvas) {
    this.renderer = new THREE.WebGLRenderer({ canvas, antialias: true, alpha: true });
    this.renderer.setPixelRatio(Math.min(devicePixelRatio, 2));
    this.renderer.shadowMap.enabled = true;
    this.renderer.shadowMap.type = THREE.PCFShadowMap;
    this.scene = new THREE.Scene();
    this.camera = new THREE.PerspectiveCamera(26, 1, 0.05, 100);
    this.controls = new OrbitControls(this.camera, canvas);
    Object.assign(this.controls, { enableDamping: true, dampingFactor: 0.12, maxPolarAngle: 1.65, zoomToCursor: false });
    this.scene.add(new THREE.HemisphereLight(0xffffff, 0xd8d4cf, 1.6));
    this.sun = new THREE.DirectionalLight(0xffffff, 1.9);
    this.sun.castShadow = true;
    this.sun.shadow.mapSize.set(1024, 1024);
    this.sun.shadow.radius = 6;
    this.sun.shadow.bias = -0.0005;
    this.scene.add(this.sun, this.sun.target);
    this.ground = new THREE.Group();
    this.disc = new THREE.Mesh(new THREE.CircleGeometry(1, 96), discMaterial());
    this.shadow = new THREE.Mesh(new THREE.CircleGeometry(1, 64), new THREE.ShadowMaterial({ opacity: 0.22 }));
    this.shadow.receiveShadow = true;
    this.shadow.position.z = 0.001;
    this.ground.add(this.disc, this.shadow);
    this.ground.rotation.x = -Math.PI / 2;
    this.scene.add(this.ground);
    this.turnLight(35);
  }

  // degrees around the avatar, 0 is in front of it
  turnLight(degrees) {
    const angle = THREE.MathUtils.degToRad(degrees);
    this.light = degrees;
    this.sun.position.set(3 * Math.sin(angle), 4, 3 * Math.cos(angle)).multiplyScalar(this.height ?? 1);
  }

  setGround(shown) { this.ground.visible = shown; }

  // The whole avatar, or its head, in the part of the window that the panel leaves free.
  frame(box, head, what = 'body') {
    this.box = box; this.head = head; this.framed = what;
    this.height = box.max.y - box.min.y;
    const width = box.max.x - box.min.x;
    const full = what === 'body';
    const tall = full ? this.height * 1.16 : (box.max.y - head.y) * 2.1;
    const middle = new THREE.Vector3((box.max.x + box.min.x) / 2, full ? box.min.y + this.height * 0.5 : (box.max.y + head.y) / 2 - tall * 0.03, 0);
    const half = Math.tan(THREE.MathUtils.degToRad(this.camera.fov / 2));
    const away = Math.max(tall / (2 * half), (Math.min(full ? width * 1.1 : tall * 0.9, tall) / (2 * half * this.camera.aspect)));
    this.controls.target.copy(middle);
    this.camera.position.set(middle.x, middle.y + (full ? this.height * 0.06 : 0), middle.z + away);
    this.controls.minDistance = this.height * 0.15;
    this.controls.maxDistance = this.height * 8;
    this.ground.scale.setScalar(Math.max(this.height * 0.62, width * 0.55));
    this.ground.position.y = box.min.y;
    const reach = this.height * 0.9, shadow = this.sun.shadow.camera;
    Object.assign(shadow, { left: -reach, right: reach, top: reach, bottom: -reach, near: 0.1, far: this.height * 12 });
    shadow.updateProjectionMatrix();
    this.turnLight(this.light);
    this.controls.update();
  }

  resize(width, height, side) {
    this.renderer.setSize(width, height, false);
    this.camera.aspect = Math.max(width - side, 1) / height;
    // The middle of the free part is the middle of the picture.
    this.camera.setViewOffset(Math.max(width - side, 1), height, 0, 0, width, height);
    this.camera.updateProjectionMatrix();
  }

  render() {
    this.controls.update();
    this.renderer.render(this.scene, this.camera);
  }
}

// A disc that fades out towards its edge, in the page's colours.
function discMaterial() {
  return new THREE.ShaderMaterial({
    transparent: true, depthWrite: false, uniforms: { tone: { value: new THREE.Color(0xffffff) }, strength: { value: 0.75 } },
    vertexShader: 'varying vec2 at; void main() { at = position.xy; gl_Position = projectionMatrix * modelViewMatrix * vec4(position, 1.0); }',
    fragmentShader: `varying vec2 at; uniform vec3 tone; uniform float strength;
      void main() {
        float far = length(at), ring = smoothstep(0.008, 0.0, abs(far - 0.94)) * 0.5;
        gl_FragColor = vec4(tone, strength * (1.0 - smoothstep(0.55, 1.0, far)) * 0.8 + ring * strength);
      }`,
  });
}
